#!/usr/bin/env python3
"""FusionAuth's own SDK for React, unchanged, behind a site with `hosted_backend`: react_sdk.py VESTIBULE_BINARY.

Builds the page in `react_sdk/` in a copy beside the target directory and uses it in Chromium: as the application behind a
gateway, and from another port of the same host, as a development server would, before `vestibule demo`. Prints `N passed, N failed`;
exits 0 when nothing failed, 1 otherwise, and 77, saying why, where the packages cannot be had.
"""

import http.server
import json
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import demo  # noqa: E402
import npm  # noqa: E402
from demo import Demo  # noqa: E402
from gateway import CONFIG, EMAIL, PASSWORD, Served, free_port, write_users  # noqa: E402
from webdriver import Browser, until  # noqa: E402

CLIENT = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
# The SDK renews ten seconds before the end.
LIFETIME = 18
DEMO_LIFETIME = 60


def build():
    """The page as static files."""
    folder = npm.install("react_sdk", "FusionAuth's SDK for React")
    built = npm.run(folder, "npm", "run", "build")
    if built.returncode:
        raise SystemExit(f"the page cannot be built:\n{built.stdout}{built.stderr}")
    return folder / "dist"


def serve(dist, port, server_url):
    """The page's files, its settings, and one call that says who the gateway says is there."""

    class Application(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(dist))

        def do_GET(self):
            told = {
                "/settings.json": {"serverUrl": server_url, "clientId": CLIENT},
                "/data": {"email": self.headers.get("X-Auth-Email"), "cookies": self.headers.get("Cookie")},
            }
            if self.path not in told:
                return super().do_GET()
            body = json.dumps(told[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()


DATA_RULE = """
[[sites.rules]]
path = "/data"
access = "required"
"""


class Deployment:
    """A gateway with the page behind it, and the demo with the page beside it, as from a development server."""

    def __init__(self, binary, directory, dist):
        port, admin, upstream, dev = (free_port() for _ in range(4))
        self.own, self.dev = f"http://localhost:{port}", f"http://localhost:{dev}"
        serve(dist, upstream, self.own)
        write_users(binary, Path(directory) / "users.toml", f"{LIFETIME}s")
        config = CONFIG.format(directory=directory, port=port, admin=admin, workers=0, upstream=upstream)
        backend = f'hosted_backend = {{ client_id = "{CLIENT}", redirect_uris = ["{self.own}"] }}'
        # `/data` asks to be signed in, the page itself does not.
        config = config.replace("\n[[sites.rules]]", f"{backend}\n{DATA_RULE}\n[[sites.rules]]", 1)
        config = config.replace('path = "/public"', 'path = "/*"', 1)
        self.gateway = Served(binary, directory, config, port, admin, f"localhost:{port}")
        self.demo = Demo(binary, "--sdk-page", self.dev)
        serve(dist, dev, self.demo.sites["store"].replace("store.localhost", "localhost"))

    def stop(self):
        self.gateway.stop()
        self.demo.stop()


def who(browser):
    return browser.text("#who") if browser.has("#who") else None


def sign_in(browser, page, button="#login", account=(EMAIL, PASSWORD)):
    email, password = account
    browser.goto(page + "/")
    until(lambda: who(browser) == "nobody", what="the page of the signed out")
    browser.click(button)
    until(lambda: browser.has("#loginId"), what="the gateway's form")
    browser.type("#loginId", email)
    browser.type("#password", password)
    browser.click("button[type=submit]")
    until(lambda: browser.url().startswith(page + "/"), what="the way back to the page")
    until(lambda: who(browser) == email, what="userInfo with the e-mail address")


def end(browser):
    """What the SDK reads."""
    found = browser.script("return document.cookie.match(/app\\.at_exp=(\\d+)/)?.[1]")
    return int(found) if found else None


def a_person_signs_in(browser, deployment):
    sign_in(browser, deployment.own)
    assert browser.text("#state") == "deep link: /orders?page=2", "the state is lost"
    assert "state=deep+link" in browser.url(), browser.url()
    claims = json.loads(browser.text("#claims"))
    assert claims["email"] == EMAIL and claims["sub"] and claims["applicationId"] == CLIENT, claims
    readable = browser.script("return document.cookie")
    assert readable == f"app.at_exp={end(browser)}", f"a script reads {readable}"
    assert 0 < end(browser) - time.time() <= LIFETIME
    for name in ("app.at", "app.rt"):
        cookie = browser.cookies()[name]
        assert cookie["httpOnly"] and cookie["sameSite"] == "Lax" and cookie["path"] == "/", name
    data = browser.later("fetch('/data').then(r => r.json()).then(arguments[0])")
    assert data == {"email": EMAIL, "cookies": None}, data
    browser.goto(deployment.own + "/")
    until(lambda: who(browser) == EMAIL, what="the same person after a reload")


def an_account_is_made_at_the_same_form(browser, deployment):
    sign_in(browser, deployment.own, "#register")
    assert browser.text("#state") == "without a state"


def renews_silently(browser, email, lifetime):
    """Before the end of the token, by the SDK's own timer, and the page stays as it is."""
    browser.script("window.stays = true")
    before = end(browser)
    until(lambda: end(browser) != before, lifetime, "a renewal before the end of the token")
    assert end(browser) > before > time.time(), "renewed too late"
    assert browser.script("return window.stays"), "the page was loaded again"
    assert (who(browser), browser.text("#failure")) == (email, ""), "the SDK gave up"
    browser.click("#renew")
    until(lambda: browser.text("#renewal") == "200", what="a renewal for the asking")


def the_session_is_renewed_silently(browser, deployment):
    before = deployment.gateway.metric(("vestibule_renewals_total", "renewed"))
    sign_in(browser, deployment.own)
    for _ in range(2):
        renews_silently(browser, EMAIL, LIFETIME)
    assert deployment.gateway.metric(("vestibule_renewals_total", "renewed")) >= before + 4


def a_person_signs_out(browser, deployment):
    sign_in(browser, deployment.own)
    copy = browser.cookies()
    browser.click("#logout")
    until(lambda: who(browser) == "nobody", what="the page of the signed out")
    assert browser.url() == deployment.own + "/"
    assert not {"app.at", "app.rt", "app.at_exp"} & browser.cookies().keys(), browser.cookies().keys()
    for name in ("app.at", "app.rt", "app.at_exp"):
        browser.set_cookie({key: copy[name][key] for key in ("name", "value", "path", "httpOnly", "sameSite")})
    assert browser.later("fetch('/app/me/').then(r => arguments[0](r.status))") == 401, "saved cookies still work"


def a_refused_renewal_is_told(browser, deployment):
    sign_in(browser, deployment.own)
    browser.command("DELETE", "/cookie/app.rt")
    until(lambda: '"status":400' in browser.text("#failure"), LIFETIME, "a word about the renewal")
    until(lambda: who(browser) == "nobody", LIFETIME, "the end of the token on the page")


def the_demo_and_a_development_server(browser, deployment):
    """A page of another origin of the list: the same host at another port."""
    sign_in(browser, deployment.dev, account=(demo.EMAIL, demo.PASSWORD))
    assert browser.url().startswith(deployment.dev + "/?state=deep+link"), browser.url()
    claims = json.loads(browser.text("#claims"))
    assert claims["email"] == demo.EMAIL and claims["applicationId"] == CLIENT, claims
    renews_silently(browser, demo.EMAIL, DEMO_LIFETIME)
    browser.click("#logout")
    until(lambda: browser.url() == deployment.dev + "/" and who(browser) == "nobody", what="the signed-out page")
    assert not {"app.at", "app.rt", "app.at_exp"} & browser.cookies().keys()


def another_sites_page_cannot_sign_out(browser, deployment):
    sign_in(browser, deployment.own)
    address = f"{deployment.own}/app/logout/?client_id={CLIENT}&post_logout_redirect_uri={deployment.own}"
    browser.goto("data:text/html,<title>elsewhere</title>")
    browser.script("location.assign(arguments[0])", address)
    until(lambda: browser.url() == address and browser.has("form[action='/logout']"), what="the page with the button")
    browser.goto(deployment.own + "/")
    until(lambda: who(browser) == EMAIL, what="the person, still signed in")


SCENARIOS = [
    a_person_signs_in,
    an_account_is_made_at_the_same_form,
    the_session_is_renewed_silently,
    a_person_signs_out,
    a_refused_renewal_is_told,
    the_demo_and_a_development_server,
    another_sites_page_cannot_sign_out,
]


def main():
    binary, only = str(Path(sys.argv[1]).resolve()), sys.argv[2:]
    dist = build()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-react-") as directory:
        deployment = Deployment(binary, directory, dist)
        try:
            for scenario in SCENARIOS:
                name = scenario.__name__.replace("_", " ")
                if only and not any(word in name for word in only):
                    continue
                with Browser() as browser:
                    try:
                        scenario(browser, deployment)
                        passed += 1
                        print(f"ok: {name}", flush=True)
                    except Exception:
                        failed += 1
                        print(f"FAILED: {name}, at {browser.url()}\n{traceback.format_exc()}", flush=True)
        finally:
            deployment.stop()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
