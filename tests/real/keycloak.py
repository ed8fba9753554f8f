#!/usr/bin/env python3
"""Sign-in by redirect before Keycloak: keycloak.py VESTIBULE_BINARY [WORD...].

`KEYCLOAK_HOME` names a distribution (26 or later, with a Java that it runs on). The realm is the one of the guide,
`docs/guide/providers/keycloak-realm.json`, with other addresses and lifetimes. Prints `N passed, N failed`; exits 0 when
nothing failed, 1 otherwise, and 77, saying why, where there is no distribution."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gateway import free_port  # noqa: E402
from redirect_sign_in import (  # noqa: E402
    ACCOUNT, SCENARIOS, a_disabled_user_is_not_renewed, a_refusal_is_told, an_administrator_ends_an_open_tab,
    callback, play_before, ports,
)
from webdriver import until  # noqa: E402

REALM = Path(__file__).resolve().parents[2] / "docs/guide/providers/keycloak-realm.json"
PASSWORD = "a password of ann"
ADMIN = "an administrator of this test"


class Keycloak:
    """The server, with the gateway as the client of the guide."""

    client_id = "vestibule"
    lifetime = 5
    # In seconds: when a request renews.
    renewal_after = 6
    comes_back = True

    def __init__(self, home, directory):
        self.gateway_port, self.admin_port = ports()
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        # The first start writes into the distribution.
        distribution = Path(directory) / "keycloak"
        shutil.copytree(home, distribution, symlinks=True)
        environment = {**os.environ, "KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN}
        command = [distribution / "bin" / "kc.sh", "start-dev", "--db=dev-mem", f"--http-port={self.port}"]
        self.log = open(Path(directory) / "keycloak.log", "w")
        self.process = subprocess.Popen(
            [*command, f"--hostname={self.url}"], env=environment, stdout=self.log, stderr=self.log
        )
        until(self.listens, 180, "Keycloak")
        self.set_up()

    def listens(self):
        if self.process.poll() is not None:
            raise SystemExit("Keycloak ended")
        try:
            with urllib.request.urlopen(f"{self.url}/realms/master", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def call(self, method, path, body=None):
        """A call of the administrator. Its tokens live a minute, so each has its own."""
        fields = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": ADMIN}
        address = f"{self.url}/realms/master/protocol/openid-connect/token"
        with urllib.request.urlopen(address, urllib.parse.urlencode(fields).encode(), timeout=20) as answer:
            token = json.load(answer)["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/admin/realms{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                said = answer.read()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from error
        return json.loads(said) if said else None

    def set_up(self):
        realm = json.loads(REALM.read_text())
        realm |= {"accessTokenLifespan": self.lifetime, "eventsEnabled": True, "enabledEventTypes": ["REFRESH_TOKEN"]}
        client = realm["clients"][0]
        self.secret = client["secret"]
        client["redirectUris"] = [callback(self.gateway_port)]
        hook = f"http://127.0.0.1:{self.admin_port}/hooks/backchannel-logout/main"
        site = f"http://shop.localhost:{self.gateway_port}/"
        client["attributes"] |= {"backchannel.logout.url": hook, "post.logout.redirect.uris": site}
        self.call("POST", "", realm)
        self.realm = realm["realm"]
        ann = {
            "username": ACCOUNT, "email": f"{ACCOUNT}@example.com", "emailVerified": True, "enabled": True,
            "firstName": "Ann", "lastName": "Ann",
            "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
        }
        self.call("POST", f"/{self.realm}/users", ann)
        self.user = self.call("GET", f"/{self.realm}/users?exact=true&username={ACCOUNT}")[0]["id"]

    def provider_keys(self):
        return (
            f'url = "{self.url}/realms/{self.realm}"\nclient_id = "{self.client_id}"\nclient_secret = "{self.secret}"\n'
            'scopes = ["openid", "profile", "email"]\nroles_claim = "realm_access.roles"'
        )

    def shows_form(self, browser):
        return browser.has("#username") and browser.has("#password")

    def enter(self, browser):
        until(lambda: self.shows_form(browser), 20, "the provider's form")
        browser.type("#username", ACCOUNT)
        browser.type("#password", PASSWORD)
        browser.leave("#kc-login")

    def confirm_sign_out(self, browser):
        """With an ID token nobody is asked."""

    def refreshes(self):
        events = self.call("GET", f"/{self.realm}/events?type=REFRESH_TOKEN&max=10000")
        return len(events)

    def disable(self, is_disabled):
        self.call("PUT", f"/{self.realm}/users/{self.user}", {"enabled": not is_disabled})

    def end_sessions(self):
        began = time.time()
        self.call("POST", f"/{self.realm}/users/{self.user}/logout")
        return began

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


def main():
    home = os.environ.get("KEYCLOAK_HOME")
    if not home or not (Path(home) / "bin" / "kc.sh").exists():
        print("skipped: Keycloak: KEYCLOAK_HOME names no distribution")
        sys.exit(77)
    # Its page has no way back to the client.
    scenarios = [scenario for scenario in SCENARIOS if scenario is not a_refusal_is_told]
    scenarios += [a_disabled_user_is_not_renewed, an_administrator_ends_an_open_tab]
    play_before(lambda directory: Keycloak(home, directory), scenarios)


if __name__ == "__main__":
    main()
