#!/usr/bin/env python3
"""Sign-in by redirect before LemonLDAP::NG 2.16: lemonldap.py VESTIBULE_BINARY [WORD...].

Its portal runs in Starman, with the accounts of its demonstration. Its refresh tokens can be used again, and end with the
session at the portal; it sends no logout tokens. Prints `N passed, N failed`; exits 0 when nothing failed and 1 otherwise."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gateway import free_port  # noqa: E402
from redirect_sign_in import (  # noqa: E402
    SCENARIOS, a_disabled_user_is_not_renewed, a_refusal_is_told, callback, play_before, ports, two_tabs_at_once,
)
from webdriver import until  # noqa: E402

SECRET = "a-secret-that-only-this-test-knows-0123456789"
SHARED = Path("/usr/share/lemonldap-ng")
INI = """[all]
logLevel = warn
checkTime = 1
localSessionStorage =
[configuration]
type = File
dirName = {directory}/conf
[portal]
staticPrefix = /static
templateDir = {shared}/portal/templates
languages = en
"""
# Counts what the gateway asks for: the portal writes no such log.
APPLICATION = """use Plack::App::File;
use Plack::Builder;
use Plack::Request;
use Lemonldap::NG::Portal::Main;
my $portal = Lemonldap::NG::Portal::Main->run({{}});
builder {{
    mount '/static' => Plack::App::File->new(root => '{shared}/portal/htdocs/static')->to_app;
    mount '/' => sub {{
        my $env = shift;
        my $is_refresh = $env->{{PATH_INFO}} eq '/oauth2/token'
            && (Plack::Request->new($env)->body_parameters->get('grant_type') // '') eq 'refresh_token';
        if ($is_refresh) {{
            open(my $counts, '>>', '{directory}/refreshes');
            syswrite($counts, '.');
        }}
        $portal->($env);
    }};
}};
"""


class LemonLdap:
    """The server, with the gateway as its client."""

    client_id = "shop"
    # An account of its demonstration: the password is the name.
    account = "dwho"
    lifetime = 5
    # In seconds: when a request renews.
    renewal_after = 6
    comes_back = True

    def __init__(self, directory):
        self.gateway_port, self.admin_port = ports()
        self.port = free_port()
        self.url = f"http://localhost:{self.port}/"
        self.directory = Path(directory) / "lemonldap"
        for name in ("conf", "sessions/lock", "persistent/lock", "notifications"):
            (self.directory / name).mkdir(parents=True)
        self.refreshed = self.directory / "refreshes"
        self.refreshed.touch()
        self.configurations = 0
        self.rotate_keys()
        (self.directory / "lemonldap-ng.ini").write_text(INI.format(directory=self.directory, shared=SHARED))
        application = self.directory / "portal.psgi"
        application.write_text(APPLICATION.format(directory=self.directory, shared=SHARED))
        self.environment = {**os.environ, "LLNG_DEFAULTCONFFILE": str(self.directory / "lemonldap-ng.ini")}
        self.log = open(self.directory / "portal.log", "w")
        self.process = subprocess.Popen(
            ["starman", "--listen", f"127.0.0.1:{self.port}", "--workers", "4", "--preload-app", application],
            env=self.environment, stdout=self.log, stderr=self.log, cwd=self.directory,
        )
        try:
            until(self.listens, 60, "LemonLDAP::NG")
        except BaseException:
            self.stop()
            raise

    def run(self, command):
        subprocess.run(command, env=self.environment, check=True, capture_output=True, cwd=self.directory)

    def rotate_keys(self):
        """Writes its next configuration, with another signing key. Its portal looks for one every second."""
        self.configurations += 1
        key = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True).stdout
        public = subprocess.run(["openssl", "rsa", "-pubout"], input=key, check=True, capture_output=True).stdout
        settings = self.settings() | {
            "cfgNum": self.configurations, "oidcServicePrivateKeySig": key.decode(),
            "oidcServicePublicKeySig": public.decode(), "oidcServiceKeyIdSig": f"key-{self.configurations}",
        }
        (self.directory / "conf" / f"lmConf-{self.configurations}.json").write_text(json.dumps(settings))

    def storage(self, name):
        return {"Directory": f"{self.directory}/{name}", "LockDirectory": f"{self.directory}/{name}/lock"}

    def settings(self):
        """Its configuration: what the guide says, and where the files are."""
        site = f"http://shop.localhost:{self.gateway_port}"
        return {
            "cfgVersion": "2.16.1", "cfgAuthor": "test", "cfgDate": 1,
            "portal": self.url, "domain": "localhost", "securedCookie": 0, "cookieName": "lemonldap",
            "authentication": "Demo", "userDB": "Same", "passwordDB": "Demo", "registerDB": "Null",
            "demoExportedVars": {"cn": "cn", "mail": "mail", "uid": "uid"}, "whatToTrace": "_whatToTrace",
            "macros": {"_whatToTrace": "lc($_user)"}, "portalSkin": "bootstrap", "timeout": 72000,
            "globalStorage": "Apache::Session::File", "globalStorageOptions": self.storage("sessions"),
            "persistentStorage": "Apache::Session::File", "persistentStorageOptions": self.storage("persistent"),
            "locationRules": {"localhost": {"default": "accept"}}, "notification": 0, "loginHistoryEnabled": 0,
            # The default one needs packages that nothing here uses.
            "captcha": "::Main::Plugin",
            "issuerDBOpenIDConnectActivation": 1, "oidcServiceAllowAuthorizationCodeFlow": 1,
            "oidcRPMetaDataOptions": {"shop": {
                "oidcRPMetaDataOptionsClientID": self.client_id, "oidcRPMetaDataOptionsClientSecret": SECRET,
                "oidcRPMetaDataOptionsDisplayName": "shop",
                "oidcRPMetaDataOptionsRedirectUris": callback(self.gateway_port),
                "oidcRPMetaDataOptionsPostLogoutRedirectUris": f"{site}/",
                "oidcRPMetaDataOptionsIDTokenSignAlg": "RS256", "oidcRPMetaDataOptionsRequirePKCE": 1,
                "oidcRPMetaDataOptionsAccessTokenJWT": 1, "oidcRPMetaDataOptionsAccessTokenClaims": 1,
                "oidcRPMetaDataOptionsAccessTokenExpiration": self.lifetime, "oidcRPMetaDataOptionsRefreshToken": 1,
                "oidcRPMetaDataOptionsLogoutBypassConfirm": 1,
            }},
            "oidcRPMetaDataExportedVars": {"shop": {"email": "mail", "name": "cn", "preferred_username": "uid"}},
        }

    def listens(self):
        if self.process.poll() is not None:
            raise SystemExit(f"LemonLDAP::NG ended:\n{Path(self.log.name).read_text()}")
        try:
            with urllib.request.urlopen(f"{self.url}.well-known/openid-configuration", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def provider_keys(self):
        return (
            f'url = "{self.url}"\nclient_id = "{self.client_id}"\nclient_secret = "{SECRET}"\n'
            'scopes = ["openid", "profile", "email"]'
        )

    def shows_form(self, browser):
        return browser.has("input[name=user]")

    def enter(self, browser):
        """It asks once what the shop may know."""
        until(lambda: self.shows_form(browser), 20, "the provider's form")
        browser.type("input[name=user]", self.account)
        browser.type("input[name=password]", self.account)
        browser.leave("form button[type=submit]")
        if browser.has("#confirm"):
            browser.leave("button.positive")

    def confirm_sign_out(self, browser):
        """With an ID token nobody is asked."""

    def refreshes(self):
        return self.refreshed.stat().st_size

    def disable(self, is_disabled):
        """Its demonstration cannot disable anybody: an administrator ends the session that renewals hang on."""
        if is_disabled:
            self.run([SHARED / "bin" / "llngDeleteSession", self.account])

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


def main():
    # It remembers one client's request for each browser, and its form has no way back to the client.
    scenarios = [scenario for scenario in SCENARIOS if scenario not in (a_refusal_is_told, two_tabs_at_once)]
    play_before(LemonLdap, [*scenarios, a_disabled_user_is_not_renewed])


if __name__ == "__main__":
    main()
