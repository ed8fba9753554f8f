#!/usr/bin/env python3
"""Sign-in by redirect before panva's oidc-provider 9: oidc_provider.py VESTIBULE_BINARY [WORD...].

It rotates refresh tokens, ends the family of one that is used again, and sends logout tokens. Prints
`N passed, N failed`; exits 0 when nothing failed, 1 otherwise, and 77, saying why, where the package cannot be had."""

import http.client
import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import npm  # noqa: E402
from gateway import free_port  # noqa: E402
from redirect_sign_in import (  # noqa: E402
    ACCOUNT, SCENARIOS, a_disabled_user_is_not_renewed, a_new_signing_key_is_no_error, an_administrator_ends_an_open_tab,
    callback, play_before, ports,
)
from webdriver import until  # noqa: E402

SECRET = "a secret that only this test knows 0123456789"


class OidcProvider:
    """The server, with the gateway as its client."""

    client_id = "shop"
    lifetime = 5
    # In seconds: when a request renews.
    renewal_after = 6
    comes_back = True

    def __init__(self, folder):
        self.gateway_port, self.admin_port = ports()
        self.port, self.control = free_port(), free_port()
        site = f"http://shop.localhost:{self.gateway_port}"
        client = {
            "client_id": self.client_id,
            "client_secret": SECRET,
            "redirect_uris": [callback(self.gateway_port)],
            "post_logout_redirect_uris": [f"{site}/"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "backchannel_logout_uri": f"http://127.0.0.1:{self.admin_port}/hooks/backchannel-logout/main",
            "backchannel_logout_session_required": True,
        }
        settings = {"port": self.port, "control": self.control, "client": client, "lifetime": self.lifetime}
        self.process = subprocess.Popen(
            ["node", "server.mjs", json.dumps(settings)], cwd=folder, stdout=subprocess.PIPE, stderr=sys.stderr, text=True
        )
        for line in self.process.stdout:
            if line.startswith("listening"):
                return
        raise SystemExit("oidc-provider did not start")

    def provider_keys(self):
        return (
            f'url = "http://localhost:{self.port}"\nclient_id = "{self.client_id}"\nclient_secret = "{SECRET}"\n'
            'roles_claim = "groups.shop"'
        )

    def shows_form(self, browser):
        return browser.has("input[name=login]")

    def enter(self, browser):
        until(lambda: self.shows_form(browser), 20, "the provider's form")
        browser.type("input[name=login]", ACCOUNT)
        browser.type("input[name=password]", "any")
        browser.leave("button[type=submit]")

    def cancel(self, browser):
        until(lambda: self.shows_form(browser), 20, "the provider's form")
        browser.leave("a[href$='/abort']")

    def confirm_sign_out(self, browser):
        """The page sends its own form."""

    def ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.control, timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
        assert answer.status == 200, body
        return json.loads(body)

    def refreshes(self):
        return self.ask("/counts")["refreshes"]

    def disable(self, is_disabled):
        self.ask(f"/disable/{ACCOUNT}" if is_disabled else f"/enable/{ACCOUNT}")

    def end_sessions(self):
        began = time.time()
        assert self.ask("/end")["ended"] > 0
        return began

    def rotate_keys(self):
        self.ask("/rotate")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def main():
    folder = npm.install("oidc_provider", "panva's oidc-provider")
    more = [a_disabled_user_is_not_renewed, a_new_signing_key_is_no_error, an_administrator_ends_an_open_tab]
    play_before(lambda _: OidcProvider(folder), [*SCENARIOS, *more])


if __name__ == "__main__":
    main()
