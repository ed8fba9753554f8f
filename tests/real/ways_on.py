"""Ways that lead on to another origin, and windows that open one another, in Chromium: scenarios that `browser.py` runs.
They have a gateway and an application of their own."""

import contextlib
import http.server
import tempfile
import threading
from pathlib import Path

from demo import SUBMIT, path_of
from gateway import EMAIL, PASSWORD, Served, free_port, write_users
from webdriver import until

CONFIG = """state_dir = "{directory}/state"
[server]
listen = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"
[providers.local]
kind = "embedded"
users = "{directory}/users.toml"
[log]
level = "warn"
[[sites]]
name = "site"
origin = "http://site.localhost:{port}"
application_id = "site"
upstreams = ["http://127.0.0.1:{upstream}"]
after_logout = "/public/elsewhere"
[[sites.rules]]
path = "/public/*"
access = "public"
"""

OPENER = """<!doctype html><title>opener</title><p id="heard"></p><button id="open">Sign in</button><script>
addEventListener("message", event => { document.querySelector("#heard").textContent = event.data; });
document.querySelector("#open").onclick = () => { window.popup = open("%s", "popup", "width=400,height=600"); };
</script>"""
DONE = """<!doctype html><title>done</title><p id="done">done</p><script>
if (window.opener) window.opener.postMessage("signed in", "*");
</script>"""
FORM = """<!doctype html><title>order</title><form method="post" action="/order">
<input name="text" value="one lantern"><button type="submit">Order</button></form>"""


class Application(http.server.ThreadingHTTPServer):
    """Leads on to `http://elsewhere.localhost` wherever it is told to, and writes down what was posted."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.posts, self.elsewhere, self.site = [], f"http://elsewhere.localhost:{self.server_port}", None
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        pages = {
            "/arrived": "<!doctype html><title>arrived</title><p id=arrived>arrived</p>", "/done": DONE, "/public/form": FORM,
            "/public/form-that-stays": FORM.replace("/order", "/stay"),
            "/public/opener": OPENER % "/done", "/foreign-opener": OPENER % f"{self.server.site}/done",
        }
        path = self.path.partition("?")[0]
        if path in ("/leave", "/public/elsewhere"):
            return self.answer(302, location=self.server.elsewhere + "/arrived")
        return self.answer(200 if path in pages else 404, pages.get(path, ""))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.posts.append(body)
        if self.path == "/stay":
            # The browser shows nothing new.
            return self.answer(204)
        self.answer(303, location=self.server.elsewhere + "/arrived")

    def answer(self, status, body="", location=None):
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body.encode())))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(binary):
    """The site's address, and its application."""
    application = Application()
    with tempfile.TemporaryDirectory(prefix="vestibule-ways-") as directory:
        write_users(binary, Path(directory) / "users.toml", "5m")
        port, admin = free_port(), free_port()
        config = CONFIG.format(directory=directory, port=port, admin=admin, upstream=application.server_port)
        gateway = Served(binary, directory, config, port, admin, f"site.localhost:{port}")
        application.site = f"http://site.localhost:{port}"
        try:
            yield application.site, application
        finally:
            gateway.stop()
            application.shutdown()


def submit(browser):
    until(lambda: browser.has("#loginId"), what="the sign-in form")
    browser.type("#loginId", EMAIL)
    browser.type("#password", PASSWORD)


def arrives(browser, application):
    until(lambda: browser.url() == application.elsewhere + "/arrived", what="the page of another origin")


def a_sign_in_and_a_sign_out_lead_on_to_another_origin(browser, demo):
    with served(demo.binary) as (site, application):
        browser.goto(site + "/leave")
        submit(browser)
        browser.click(SUBMIT)
        arrives(browser, application)
        browser.goto(site + "/logout")
        browser.click(SUBMIT)
        arrives(browser, application)


def is_asked_to_send(browser, site, form="/public/form"):
    """An order that was posted after the end of the session, and the sign-in after it."""
    browser.goto(site + "/done")
    submit(browser)
    browser.leave(SUBMIT)
    until(lambda: path_of(browser) == "/done", what="the page first asked for")
    assert browser.later("fetch('/logout', {method: 'POST', redirect: 'manual'}).then(() => arguments[0](true))")
    browser.goto(site + form)
    browser.leave("button")
    submit(browser)
    browser.leave(SUBMIT)
    until(lambda: browser.has(".written"), what="the step before it is sent")


def what_is_sent_again_leads_on_and_is_sent_once(browser, demo):
    with served(demo.binary) as (site, application):
        # The second time with two presses before the browser can leave.
        for presses in (1, 2):
            application.posts.clear()
            is_asked_to_send(browser, site)
            assert application.posts == [], "it was sent without a question"
            press = "const button = document.querySelector('form [type=submit]');"
            browser.script(press + "button.click();" * presses)
            arrives(browser, application)
            assert application.posts == ["text=one+lantern"], (presses, application.posts)
            if presses == 1:
                browser.goto(site + "/public/form")
                browser.forget_cookies()
        # Back from the payment, nothing can be pressed that orders again.
        browser.back()
        until(lambda: browser.url() != application.elsewhere + "/arrived", what="the page before")
        assert not browser.has(SUBMIT) or not browser.script("return document.querySelector(arguments[0]).offsetParent", SUBMIT)


def what_was_sent_is_not_offered_again_by_the_back_button(browser, demo):
    """Where the browser has kept the page as it was left."""
    with served(demo.binary) as (site, application):
        is_asked_to_send(browser, site, "/public/form-that-stays")
        browser.click(SUBMIT)
        until(lambda: application.posts, what="the order")
        browser.script("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
        assert browser.text("h1") == "It may have arrived already"
        assert browser.script("return document.querySelector('form').hidden")
        assert browser.value(".written textarea") == "one lantern", "it cannot be copied"
        assert application.posts == ["text=one+lantern"], application.posts


def a_popup_of_the_site_tells_the_window_that_opened_it(browser, demo):
    with served(demo.binary) as (site, application):
        opener = browser.tab()
        browser.goto(site + "/public/opener")
        browser.click("#open")
        popup = until(lambda: [handle for handle in browser.tabs() if handle != opener], what="the popup")[0]
        browser.switch(popup)
        submit(browser)
        browser.leave(SUBMIT)
        until(lambda: path_of(browser) == "/done", what="the page of the popup")
        browser.switch(opener)
        until(lambda: browser.text("#heard") == "signed in", what="the word of the popup")
        assert not browser.script("return window.popup.closed")


def a_popup_of_another_origin_is_cut_off(browser, demo):
    with served(demo.binary) as (_, application):
        opener = browser.tab()
        browser.goto(application.elsewhere + "/foreign-opener")
        browser.click("#open")
        popup = until(lambda: [handle for handle in browser.tabs() if handle != opener], what="the popup")[0]
        browser.switch(popup)
        until(lambda: browser.has("#loginId"), what="the sign-in form")
        browser.switch(opener)
        until(lambda: browser.script("return window.popup.closed"), what="the end of the connection")
