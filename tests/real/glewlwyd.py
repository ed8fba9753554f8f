#!/usr/bin/env python3
"""Sign-in by redirect before Glewlwyd 2.7: glewlwyd.py VESTIBULE_BINARY [WORD...].

It answers errors with an empty body and a wrong password with 403, writes `bearer` in lower case, ends the family of a
refresh token that is used again, and sends logout tokens. Prints `N passed, N failed`; exits 0 when nothing failed and 1
otherwise."""

import gzip
import http.client
import http.cookiejar
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gateway import free_port  # noqa: E402
from redirect_sign_in import (  # noqa: E402
    ACCOUNT, SCENARIOS, a_new_signing_key_is_no_error, a_refusal_is_told, a_sign_in_that_was_forgotten_begins_again,
    an_administrator_ends_an_open_tab, callback, play_before, ports,
)
from webdriver import until  # noqa: E402

DOCS = Path("/usr/share/doc/glewlwyd")
# Glewlwyd does not undo the encoding of RFC 6749, section 2.3.1.
SECRET = "a-secret-that-only-this-test-knows-0123456789"
PASSWORD = "a password of ann"
SCOPES = ["openid", "profile", "email", "offline_access"]


class Caller:
    """A session at Glewlwyd's own interface."""

    def __init__(self, url, name, password):
        self.url = url
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(jar)
        self.call("POST", "/auth/", {"username": name, "password": password})

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api{path}", data, headers, method=method)
        try:
            with self.opener.open(request, timeout=20) as answer:
                said = answer.read()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from error
        return json.loads(said) if said else None


class Glewlwyd:
    """The server, with the gateway as its client."""

    client_id = "shop"
    lifetime = 5
    # In seconds: when a request renews.
    renewal_after = 6
    comes_back = False

    def __init__(self, directory):
        self.gateway_port, self.admin_port = ports()
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        directory = Path(directory)
        self.database = directory / "glewlwyd.db"
        with sqlite3.connect(self.database) as connection:
            script = gzip.decompress((DOCS / "database/init.sqlite3.sql.gz").read_bytes()).decode()
            # The plugin reads the property with this name.
            was, now = '"post_logout_redirect_uri":{"multiple":false', '"post_logout_redirect_uris":{"multiple":true'
            connection.executescript(script.replace(was, now))
        config = gzip.decompress((DOCS / "glewlwyd.conf.sample.gz").read_bytes()).decode()
        for key, value in {
            "port": self.port, "external_url": f'"{self.url}"', "  path": f'"{self.database}"', "cookie_secure": 0,
            "log_level": '"WARNING"', "static_files_path": f'"{self.pages(directory)}/"', "allow_multiple_user_per_session": "false",
        }.items():
            config = re.sub(rf"(?m)^{key} ?=.*", f"{key} = {value}" + (";" if key == "  path" else ""), config, count=1)
        config = re.sub("(?m)^cookie_domain.*", "", config)
        file = directory / "glewlwyd.conf"
        file.write_text(config + 'bind_address = "127.0.0.1"\n')
        self.log = open(directory / "glewlwyd.log", "w")
        self.process = subprocess.Popen(["glewlwyd", f"--config-file={file}"], stdout=self.log, stderr=self.log)
        until(self.listens, 20, "Glewlwyd")
        self.set_up()

    def pages(self, directory):
        """Its own pages. It serves no file through a symbolic link, as Debian's package has some, and the package brings no
        settings for them."""
        pages = directory / "pages"
        shutil.copytree("/usr/share/glewlwyd/webapp", pages, ignore=lambda *_: ["config.json"])
        settings = {"GlewlwydUrl": f"{self.url}/", "LoginUrl": f"{self.url}/login.html", "lang": ["en"]}
        settings |= {"ProfileUrl": f"{self.url}/profile.html", "pattern": {"user": [], "client": []}, "sessionSchemes": []}
        (pages / "config.json").write_text(json.dumps(settings))
        return pages

    def listens(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/config")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def set_up(self):
        self.admin = Caller(self.url, "admin", "password")
        for name in SCOPES[1:]:
            scope = {"name": name, "display_name": name, "password_required": False, "scheme": {}}
            self.admin.call("POST", "/scope/", scope)
        user = {
            "username": ACCOUNT, "name": "Ann", "email": f"{ACCOUNT}@example.com", "password": PASSWORD,
            "scope": [*SCOPES, "g_profile"], "enabled": True,
        }
        self.admin.call("POST", "/user/", user)
        site = f"http://shop.localhost:{self.gateway_port}"
        client = {
            "client_id": self.client_id, "name": "shop", "enabled": True, "confidential": True, "client_secret": SECRET,
            "redirect_uri": [callback(self.gateway_port)], "post_logout_redirect_uris": [f"{site}/"],
            "authorization_type": ["code", "refresh_token"], "token_endpoint_auth_method": ["client_secret_basic"],
            "backchannel_logout_uri": f"http://127.0.0.1:{self.admin_port}/hooks/backchannel-logout/main",
            "backchannel_logout_session_required": "1", "scope": SCOPES,
        }
        self.admin.call("POST", "/client/", client)
        self.admin.call("POST", "/mod/plugin/", self.plugin())
        # Nobody is asked what the shop may know.
        ann = Caller(self.url, ACCOUNT, PASSWORD)
        ann.call("PUT", f"/auth/grant/{self.client_id}", {"scope": " ".join(SCOPES)})

    def plugin(self):
        """The settings of its OpenID Connect plugin, with a new signing key."""
        key = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True).stdout
        public = subprocess.run(["openssl", "rsa", "-pubout"], input=key, check=True, capture_output=True).stdout
        parameters = {
            "iss": f"{self.url}/api/oidc", "oauth-as-iss-id": True, "jwt-type": "rsa", "jwt-key-size": "256",
            "key": key.decode(), "cert": public.decode(), "access-token-duration": self.lifetime,
            "refresh-token-duration": 86400, "code-duration": 60, "refresh-token-rolling": True,
            "refresh-token-one-use": "always", "auth-type-code-enabled": True, "auth-type-code-revoke-replayed": True,
            "auth-type-refresh-enabled": True, "auth-type-token-enabled": False, "auth-type-id-token-enabled": True,
            "subject-type": "public", "email-claim": "mandatory", "name-claim": "mandatory", "allowed-scope": SCOPES,
            "pkce-allowed": True, "pkce-required": True, "introspection-revocation-allowed": True,
            "introspection-revocation-allow-target-client": True, "session-management-allowed": True,
            "session-cookie-name": "GLEWLWYD2_OIDC_SID", "session-cookie-expiration": 2419200,
            "back-channel-logout-allowed": True, "front-channel-logout-allowed": True, "jwks-show": True,
        }
        return {
            "module": "oidc", "name": "oidc", "display_name": "oidc", "order_rank": 0, "readonly": False,
            "parameters": parameters,
        }

    def rotate_keys(self):
        before = self.admin.call("GET", "/oidc/jwks")
        self.admin.call("PUT", "/mod/plugin/oidc", self.plugin())
        self.admin.call("PUT", "/mod/plugin/oidc/reset/")
        until(lambda: self.admin.call("GET", "/oidc/jwks") != before, 20, "the new key")

    def provider_keys(self):
        return f'url = "{self.url}/api/oidc"\nclient_id = "{self.client_id}"\nclient_secret = "{SECRET}"'

    def shows_form(self, browser):
        return browser.has("#username")

    def enter(self, browser):
        until(lambda: self.shows_form(browser), 20, "the provider's form")
        browser.type("#username", ACCOUNT)
        browser.type("#password", PASSWORD)
        browser.click("#passwordForm button")
        self.press(browser, "Continue")

    def press(self, browser, label):
        """Presses a button of the page that its script shows."""
        script = "const b = [...document.querySelectorAll('button')].find(b => b.innerText.trim() == arguments[0]); b?.click();"
        until(lambda: browser.script(f"{script} return !!b", label), 20, f"the button {label}")

    def confirm_sign_out(self, browser):
        """Its page asks, and stays."""
        self.press(browser, "Logout")
        until(lambda: "You are disconnected" in browser.text(), 20, "the end at the provider")

    def end_sessions(self):
        """What its page does when somebody signs out there, in another tab or at another client."""
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
            rows = connection.execute("SELECT gpoc_sid FROM gpo_code ORDER BY gpoc_id DESC LIMIT 1").fetchall()
        ann = Caller(self.url, ACCOUNT, PASSWORD)
        began = time.time()
        ann.call("DELETE", f"/oidc/session/{rows[0][0]}")
        return began

    def refreshes(self):
        """How many access tokens were issued: it issues one with each refresh."""
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
            return connection.execute("SELECT COUNT(*) FROM gpo_access_token").fetchone()[0]

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.log.close()


def main():
    # Its page has no way back to the client, and asks the signed in to press a button at each sign-in. It renews for
    # disabled users too.
    left_out = (a_refusal_is_told, a_sign_in_that_was_forgotten_begins_again)
    scenarios = [scenario for scenario in SCENARIOS if scenario not in left_out]
    scenarios += [an_administrator_ends_an_open_tab, a_new_signing_key_is_no_error]
    play_before(Glewlwyd, scenarios)


if __name__ == "__main__":
    main()
