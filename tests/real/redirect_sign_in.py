"""Sign-in by redirect before a real OIDC server: a gateway, an application, and what a person with Chromium meets.
Standard library only. A counterpart says how its own pages are used, and what its administrator does."""

import concurrent.futures
import contextlib
import http.client
import http.server
import re
import sys
import tempfile
import threading
import time
import traceback

from demo import path_of
from gateway import Served, free_port
from webdriver import Browser, until

ACCOUNT = "ann"
CONFIG = """state_dir = "{directory}/state"

[server]
listen = ["127.0.0.1:{port}", "[::1]:{port}"]
admin = "127.0.0.1:{admin}"

[providers.main]
kind = "oidc"
{provider}
leeway = "0s"
sign_in = "redirect"

[log]
level = "info"

[[sites]]
name = "shop"
origin = "http://shop.localhost:{port}"
application_id = "{client}"
upstreams = ["http://127.0.0.1:{upstream}"]
credential = "session"
landing = "/landing"

[[sites.rules]]
path = "/"
access = "public"
"""


class Application(http.server.BaseHTTPRequestHandler):
    """Shows who is there. `/stream` stays open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/stream"):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"data: still here\n\n")
                    self.wfile.flush()
                    time.sleep(0.05)
            except OSError:
                self.close_connection = True
            return
        who = self.headers.get("X-Auth-Email") or self.headers.get("X-Auth-User-Id") or "nobody"
        body = f"<!doctype html><title>shop</title><p id=who>{who}</p>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Shop:
    """The gateway before the application, at a counterpart."""

    def __init__(self, binary, directory, counterpart):
        self.counterpart = counterpart
        self.upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
        threading.Thread(target=self.upstream.serve_forever, daemon=True).start()
        self.port = counterpart.gateway_port
        config = CONFIG.format(
            directory=directory, port=self.port, admin=counterpart.admin_port, provider=counterpart.provider_keys(),
            client=counterpart.client_id, upstream=self.upstream.server_address[1],
        )
        self.host = f"shop.localhost:{self.port}"
        self.site = f"http://{self.host}"
        self.served = Served(binary, directory, config, self.port, counterpart.admin_port, self.host)

    def stop(self):
        self.served.stop()
        self.upstream.shutdown()

    def get(self, path, cookies):
        """One request of a client with the cookies of a browser."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        header = "; ".join(f"{name}={value}" for name, value in cookies.items())
        connection.request("GET", path, headers={"Host": self.host, "Cookie": header})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def callback(port):
    return f"http://shop.localhost:{port}/_vestibule/callback"


def cookies_of(browser):
    return {name: cookie["value"] for name, cookie in browser.cookies().items() if name.startswith("vestibule")}


def is_at(browser, path):
    return until(lambda: path_of(browser) == path, 20, f"the page {path}")


def sign_in(browser, shop, path="/private"):
    browser.goto(shop.site + path)
    shop.counterpart.enter(browser)
    is_at(browser, path)
    assert ACCOUNT in browser.text("#who"), browser.text()


def begins_again(browser, shop):
    """Our page says what happened, and its way on leads to the provider's form."""
    assert "The sign-in was not completed" in browser.text(), browser.text()
    browser.leave("main a[href*='/login']")
    until(lambda: shop.counterpart.shows_form(browser), 20, "the provider's form")


def the_return_address_is_kept(browser, shop):
    browser.goto(shop.site + "/private/page?a=1%262&b=%C3%A9")
    shop.counterpart.enter(browser)
    is_at(browser, "/private/page?a=1%262&b=%C3%A9")
    browser.goto(shop.site + "/login?return_to=%2Fprivate%3Fx%3D1%23part")
    is_at(browser, "/private?x=1#part")
    browser.goto(shop.site + "/login")
    is_at(browser, "/landing")


def the_fragment_comes_back(browser, shop):
    browser.goto(shop.site + "/login?return_to=%2Fprivate%3Fx%3D1%23part")
    shop.counterpart.enter(browser)
    is_at(browser, "/private?x=1#part")


def two_tabs_at_once(browser, shop):
    browser.goto(shop.site + "/private/one")
    first = browser.tab()
    browser.new_tab()
    browser.goto(shop.site + "/private/two")
    shop.counterpart.enter(browser)
    is_at(browser, "/private/two")
    browser.switch(first)
    if path_of(browser) != "/private/one":
        shop.counterpart.enter(browser)
    is_at(browser, "/private/one")


def back_does_no_harm(browser, shop):
    browser.goto(shop.site + "/")
    sign_in(browser, shop)
    browser.back()
    # Wherever that leads, the next page is the visitor's.
    browser.goto(shop.site + "/private/again")
    is_at(browser, "/private/again")
    assert ACCOUNT in browser.text("#who")


def a_wrong_state_is_told(browser, shop):
    browser.goto(shop.site + "/")
    browser.goto(callback(shop.port) + "?code=made-up&state=made-up")
    assert "vestibule-session" not in browser.cookies()
    begins_again(browser, shop)


def a_refusal_is_told(browser, shop):
    browser.goto(shop.site + "/private")
    shop.counterpart.cancel(browser)
    until(lambda: path_of(browser).startswith("/_vestibule/callback"), 20, "our page about the refusal")
    begins_again(browser, shop)
    shop.counterpart.enter(browser)
    until(lambda: browser.has("#who"), 20, "the application")


def sixty_requests_renew_once(browser, shop):
    sign_in(browser, shop)
    for _ in range(2):
        before = shop.counterpart.refreshes()
        cookies = cookies_of(browser)
        time.sleep(shop.counterpart.renewal_after)
        with concurrent.futures.ThreadPoolExecutor(60) as pool:
            answers = list(pool.map(lambda _: shop.get("/private", cookies), range(60)))
        assert {status for status, _ in answers} == {200}, [status for status, _ in answers]
        assert all(ACCOUNT in body for _, body in answers)
        made = shop.counterpart.refreshes() - before
        assert made == 1, f"{made} calls"
        browser.goto(shop.site + "/private")
        assert ACCOUNT in browser.text("#who"), "signed out by a renewal"


def a_sign_out_is_seen_at_the_provider(browser, shop):
    sign_in(browser, shop)
    cookies = cookies_of(browser)
    browser.goto(shop.site + "/logout")
    browser.leave("button[type=submit]")
    shop.counterpart.confirm_sign_out(browser)
    if shop.counterpart.comes_back:
        is_at(browser, "/")
    assert shop.get("/private", cookies)[0] in (302, 401), "a copied cookie is still good"
    browser.goto(shop.site + "/private")
    until(lambda: shop.counterpart.shows_form(browser), 20, "the provider's form")


def a_disabled_user_is_not_renewed(browser, shop):
    sign_in(browser, shop)
    cookies = cookies_of(browser)
    shop.counterpart.disable(True)
    try:
        time.sleep(shop.counterpart.renewal_after)
        before = shop.served.metric(("vestibule_provider_requests_total", 'operation="refresh"'))
        for _ in range(2):
            status = shop.get("/private", cookies)[0]
            assert status in (302, 401), f"renewed: {status}"
        asked = shop.served.metric(("vestibule_provider_requests_total", 'operation="refresh"')) - before
        assert asked == 1, f"asked {asked} times"
    finally:
        shop.counterpart.disable(False)


def an_administrator_ends_an_open_tab(browser, shop):
    sign_in(browser, shop)
    cookies = cookies_of(browser)
    browser.script(
        "window.ended = false; const stream = new EventSource('/stream');"
        "stream.onmessage = () => { window.seen = true }; stream.onerror = () => { window.ended = true; stream.close() }"
    )
    until(lambda: browser.script("return window.seen"), what="the stream")
    began = time.monotonic()
    shop.counterpart.end_sessions()
    until(lambda: browser.script("return window.ended"), 5, "the end of the stream")
    took = time.monotonic() - began
    assert took < 1.5, f"after {took:.2f} s"
    assert shop.get("/private", cookies)[0] in (302, 401), "a copied cookie is still good"
    browser.goto(shop.site + "/private")
    until(lambda: not browser.url().startswith(shop.site), 20, "the way to the provider")


SCENARIOS = [
    the_return_address_is_kept,
    the_fragment_comes_back,
    two_tabs_at_once,
    back_does_no_harm,
    a_wrong_state_is_told,
    a_refusal_is_told,
    sixty_requests_renew_once,
    a_sign_out_is_seen_at_the_provider,
]


def play(scenarios, shop, only=()):
    """Plays the scenarios, each in a browser of its own. Gives how many passed and failed."""
    passed = failed = 0
    for scenario in scenarios:
        name = scenario.__name__.replace("_", " ")
        if only and not any(word in name for word in only):
            continue
        with Browser() as browser:
            try:
                scenario(browser, shop)
                passed += 1
                print(f"ok: {name}", flush=True)
            except Exception:
                failed += 1
                where = re.sub(r"[?#].*", "", browser.url())
                print(f"FAILED: {name}, at {where}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return failed


def play_before(start, scenarios):
    """Plays the scenarios before the counterpart that `start` gives for an empty directory, those of which the arguments
    name a word, and ends the process."""
    binary, *only = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="vestibule-redirect-") as directory, contextlib.ExitStack() as started:
        counterpart = start(directory)
        started.callback(counterpart.stop)
        shop = Shop(binary, directory, counterpart)
        started.callback(shop.stop)
        failed = play(scenarios, shop, only)
    sys.exit(1 if failed else 0)


def ports():
    """The ports of the gateway and of its admin listener. The counterpart needs to know them first."""
    return free_port(), free_port()
