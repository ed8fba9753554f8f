#!/usr/bin/env python3
"""Sign-in by redirect before Canaille: canaille.py VESTIBULE_BINARY [WORD...].

Its access tokens are no JWTs. It rotates refresh tokens, and leaves the family of one that is used again alone. It sends
no logout tokens. Prints `N passed, N failed`; exits 0 when nothing failed, 1 otherwise, and 77, saying why, where the
package cannot be had."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gateway import free_port  # noqa: E402
from installed import or_skipped, virtual_environment  # noqa: E402
from redirect_sign_in import (  # noqa: E402
    ACCOUNT, SCENARIOS, a_refusal_is_told, play_before, ports, two_tabs_at_once,
)
from webdriver import until  # noqa: E402

HERE = Path(__file__).resolve().parent
# Canaille takes the secret of `client_secret_basic` as it comes: it does not undo the encoding of RFC 6749, section 2.3.1.
SECRET = "a-secret-that-only-this-test-knows-0123456789"


class Canaille:
    """The server, with the gateway as its client."""

    client_id = "shop"
    lifetime = 18
    # In seconds: when a request renews, ahead of time. A refresh token lives no longer than the access token.
    renewal_after = 13
    comes_back = True

    def __init__(self, python):
        self.gateway_port, self.admin_port = ports()
        self.port = free_port()
        settings = {
            "port": self.port, "client_id": self.client_id, "client_secret": SECRET, "lifetime": self.lifetime,
            "site": f"http://shop.localhost:{self.gateway_port}",
        }
        command = [python, HERE / "canaille" / "server.py", json.dumps(settings)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if not any(line.startswith("listening") for line in self.process.stdout):
            raise SystemExit("Canaille did not start")

    def provider_keys(self):
        return f'url = "http://localhost:{self.port}"\nclient_id = "{self.client_id}"\nclient_secret = "{SECRET}"'

    def shows_form(self, browser):
        return browser.has("input[name=login]")

    def enter(self, browser):
        until(lambda: self.shows_form(browser), 20, "the provider's form")
        browser.type("input[name=login]", ACCOUNT)
        browser.leave("button[type=submit]")
        until(lambda: browser.has("input[name=password]"), 20, "the provider's second form")
        browser.type("input[name=password]", "a password of ann")
        browser.leave("button[type=submit]")

    def confirm_sign_out(self, browser):
        """With an ID token nobody is asked."""

    def refreshes(self):
        with urllib.request.urlopen(f"http://localhost:{self.port}/test/counts", timeout=20) as answer:
            return json.load(answer)["refreshes"]

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def main():
    wanted = HERE / "requirements-canaille.txt"
    programs = or_skipped("Canaille", virtual_environment, "canaille-venv", wanted, "--no-deps")
    # Its sign-in page has no way back to the client, and remembers one client's request for each browser.
    scenarios = [scenario for scenario in SCENARIOS if scenario not in (a_refusal_is_told, two_tabs_at_once)]
    play_before(lambda _: Canaille(programs / "python"), scenarios)


if __name__ == "__main__":
    main()
