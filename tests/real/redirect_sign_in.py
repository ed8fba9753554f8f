"""Sign-in by redirect before a real OIDC server: a gateway, an application, and what a person with Chromium meets.
Standard library only. A counterpart says how its own pages are used, and what its administrator does."""

import base64
import concurrent.futures
import contextlib
import hashlib
import http.client
import http.server
import re
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

from demo import path_of
from gateway import Served, free_port
from replicas import Redis
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

[store]
backend = "redis"
url = "redis://127.0.0.1:{redis}"

[cookies]
keys = ["q83vEjRWeJC6vN7wEjRWeJCrze8SNFZ4kKvN7xI0Vng="]

[log]
level = "info"

[[sites]]
name = "shop"
origin = "{site}"
application_id = "{client}"
upstreams = ["http://127.0.0.1:{upstream}"]
credential = "session"
landing = "/landing"

[[sites.rules]]
path = "/"
access = "public"
"""
# RFC 6455, section 1.3.
WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Application(http.server.BaseHTTPRequestHandler):
    """Shows who is there. `/stream` and the WebSocket `/socket` stay open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/socket"):
            return self.socket()
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

    def socket(self):
        """Says one word, and waits for the end."""
        self.close_connection = True
        accept = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + WEBSOCKET).encode()).digest()
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "websocket")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(b"\x81\x05there")
            self.rfile.read(1)

    def log_message(self, *_):
        pass


class Upstream(http.server.ThreadingHTTPServer):
    """The application, which many may open connections to at once: of more than five, the default drops some, and these
    wait for the repetitions of TCP."""

    request_queue_size = 128


class Shop:
    """Two replicas of the gateway before the application, at a counterpart. Browsers and the provider know the first."""

    def __init__(self, binary, directory, counterpart):
        self.binary, self.directory, self.counterpart = binary, Path(directory), counterpart
        self.account = getattr(counterpart, "account", ACCOUNT)
        self.upstream = Upstream(("127.0.0.1", 0), Application)
        threading.Thread(target=self.upstream.serve_forever, daemon=True).start()
        self.port = counterpart.gateway_port
        self.host = f"shop.localhost:{self.port}"
        self.site = f"http://{self.host}"
        self.started = contextlib.ExitStack()
        self.redis = Redis(self.directory)
        self.started.callback(self.redis.stop)
        until(self.redis.listens, what="redis-server")
        self.served = self.serve("one", self.port, counterpart.admin_port)
        self.other = self.serve("other", free_port(), free_port())

    def serve(self, name, port, admin):
        """A replica. Whatever its port, it is the site's."""
        directory = self.directory / name
        directory.mkdir()
        config = CONFIG.format(
            directory=directory, port=port, admin=admin, provider=self.counterpart.provider_keys(), site=self.site,
            client=self.counterpart.client_id, upstream=self.upstream.server_address[1], redis=self.redis.port,
        )
        served = Served(self.binary, directory, config, port, admin, self.host)
        self.started.callback(served.stop)
        return served

    def stop(self):
        self.started.close()
        self.upstream.shutdown()

    def get(self, path, cookies, port=None):
        """One request of a client with the cookies of a browser."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=20)
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
    assert shop.account in browser.text("#who"), browser.text()


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
    assert shop.account in browser.text("#who")


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


def sixty_requests_at(browser, shop, ports):
    """With an expired token, twice, spread over the ports. The provider is asked once each time."""
    sign_in(browser, shop)
    for _ in range(2):
        before = shop.counterpart.refreshes()
        cookies = cookies_of(browser)
        time.sleep(shop.counterpart.renewal_after)
        with concurrent.futures.ThreadPoolExecutor(60) as pool:
            answers = list(pool.map(lambda n: shop.get("/private", cookies, ports[n % len(ports)]), range(60)))
        assert {status for status, _ in answers} == {200}, [status for status, _ in answers]
        assert all(shop.account in body for _, body in answers)
        made = shop.counterpart.refreshes() - before
        assert made == 1, f"{made} calls"
        browser.goto(shop.site + "/private")
        assert shop.account in browser.text("#who"), "signed out by a renewal"


def sixty_requests_renew_once(browser, shop):
    sixty_requests_at(browser, shop, [shop.port])


def two_replicas_renew_once(browser, shop):
    sixty_requests_at(browser, shop, [shop.port, shop.other.port])


def a_sign_in_that_was_forgotten_begins_again(browser, shop):
    """What the browser kept for the way back has expired while the provider's form stood open."""
    browser.goto(shop.site + "/private")
    until(lambda: shop.counterpart.shows_form(browser), 20, "the provider's form")
    kept = browser.cdp("Network.getCookies", {"urls": [callback(shop.port)]})["cookies"]
    assert kept, "nothing was kept"
    for cookie in kept:
        browser.cdp("Network.deleteCookies", {key: cookie[key] for key in ("name", "domain", "path")})
    shop.counterpart.enter(browser)
    until(lambda: path_of(browser).startswith("/_vestibule/callback"), 20, "our page")
    assert "The sign-in was not completed" in browser.text(), browser.text()
    browser.leave("main a[href*='/login']")
    until(lambda: browser.has("#who"), 20, "the application")


def a_new_signing_key_is_no_error(browser, shop):
    sign_in(browser, shop)
    cookies = cookies_of(browser)
    before = shop.counterpart.refreshes()
    shop.counterpart.rotate_keys()
    assert shop.get("/private", cookies)[0] == 200, "signed out by a new key"
    time.sleep(shop.counterpart.renewal_after)
    browser.goto(shop.site + "/private")
    assert shop.account in browser.text("#who"), browser.text()
    assert shop.counterpart.refreshes() > before, "nothing was signed with the new key"
    with Browser() as another:
        sign_in(another, shop)


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


def refused_at(shop, cookies, port):
    """Asks with a copied cookie until it is refused, and gives the time."""
    deadline = time.time() + 10
    while time.time() < deadline:
        if shop.get("/private", cookies, port)[0] in (302, 401):
            return time.time()
    raise AssertionError("a copied cookie is still good")


def an_administrator_ends_an_open_tab(browser, shop):
    """Its stream, its WebSocket and a cookie copied to either replica end within a second after the call was sent."""
    sign_in(browser, shop)
    cookies = cookies_of(browser)
    browser.script(
        "window.ends = {}; window.seen = new Set(); const stream = new EventSource('/stream');"
        "stream.onmessage = () => { window.seen.add('stream') };"
        "stream.onerror = () => { window.ends.stream = Date.now(); stream.close() };"
        "const socket = new WebSocket(`ws://${location.host}/socket`);"
        "socket.onmessage = () => { window.seen.add('socket') }; socket.onclose = () => { window.ends.socket = Date.now() }"
    )
    until(lambda: browser.script("return window.seen.size") == 2, what="the stream and the WebSocket")
    assert browser.script("return window.ends") == {}, "ended before"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        copies = [pool.submit(refused_at, shop, cookies, port) for port in (shop.port, shop.other.port)]
        began = shop.counterpart.end_sessions()
        until(lambda: len(browser.script("return window.ends")) == 2, 10, "the end of the stream and of the WebSocket")
        ends = {name: at / 1000 for name, at in browser.script("return window.ends").items()}
        ends |= {"copy here": copies[0].result(), "copy there": copies[1].result()}
    took = {name: round(at - began, 2) for name, at in ends.items()}
    assert max(took.values()) < 1, f"seconds: {took}"
    print(f"seconds until the end: {took}")
    browser.goto(shop.site + "/private")
    until(lambda: not browser.url().startswith(shop.site), 20, "the way to the provider")


SCENARIOS = [
    the_return_address_is_kept,
    the_fragment_comes_back,
    two_tabs_at_once,
    back_does_no_harm,
    a_wrong_state_is_told,
    a_sign_in_that_was_forgotten_begins_again,
    a_refusal_is_told,
    sixty_requests_renew_once,
    two_replicas_renew_once,
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
