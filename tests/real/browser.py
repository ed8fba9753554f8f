#!/usr/bin/env python3
"""What a person with Chromium meets in the demo: browser.py VESTIBULE_BINARY. Prints `N passed, N failed`."""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from webdriver import Browser, until  # noqa: E402

PRIVATE = "/shopping-cart"
EMAIL, PASSWORD = "shopper@example.com", "vestibule demo"
ACCESS, REFRESH, SESSION = "vestibule-access", "vestibule-refresh", "vestibule-session"
SUBMIT = "button[type=submit]"
SCREENSHOTS = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "screenshots"


class Demo:
    """`vestibule demo` on a port of its own, and the addresses it prints."""

    def __init__(self, binary):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.state = tempfile.TemporaryDirectory(prefix="vestibule-demo-")
        self.process = subprocess.Popen(
            [str(Path(binary).resolve()), "demo", "--port", str(port)],
            cwd=self.state.name, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        self.said = ""
        found = threading.Event()
        self.sites = {}

        def read():
            for line in self.process.stdout:
                self.said += line
                for address, name in re.findall(r"(http://(\w+)\.localhost(?::\d+)?)", line):
                    self.sites.setdefault(name, address)
                if {"store", "forum"} <= self.sites.keys():
                    found.set()
            found.set()

        threading.Thread(target=read, daemon=True).start()
        if not found.wait(30) or not {"store", "forum"} <= self.sites.keys():
            self.stop()
            raise SystemExit(f"`vestibule demo` did not print the addresses of store and forum:\n{self.said}")

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens, 30, "the demo's listener")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.state.cleanup()


def path_of(browser):
    return re.sub(r"^https?://[^/]+", "", browser.url())


def fill_in(browser, password=PASSWORD, email=EMAIL):
    browser.script("document.querySelector('#loginId').value = ''")
    browser.type("#loginId", email)
    browser.type("#password", password)
    browser.click(SUBMIT)


def sign_in(browser, site, path=PRIVATE, email=EMAIL):
    browser.goto(site + path)
    until(lambda: path_of(browser).startswith("/login"), what="the sign-in form")
    fill_in(browser, email=email)
    until(lambda: path_of(browser) == path, what=f"{path} after signing in")
    assert email in browser.source(), "the application was not told who signed in"


def asks_to_sign_in(browser, address):
    browser.goto(address)
    return path_of(browser).startswith("/login?return_to=")


def fetch_status(browser, path):
    """Status of a fetch by the page, and whether it was redirected."""
    return browser.later("fetch(arguments[0]).then(r => arguments[1]([r.status, r.redirected]))", path)


def status_of_page(browser):
    return browser.script("return performance.getEntriesByType('navigation')[0].responseStatus")


def looks(browser, name):
    """Leaves a picture of the page as it is on a telephone and a desk, by day and by night; none may scroll sideways."""
    for width in (360, 1280):
        browser.size(width)
        for scheme in ("light", "dark"):
            browser.scheme(scheme)
            # Colours may fade into each other.
            browser.later("Promise.allSettled(document.getAnimations().map(a => a.finished)).then(arguments[0])")
            browser.screenshot(SCREENSHOTS / f"{name}-{width}-{scheme}.png")
        overflow = browser.script("return document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0, f"{name} is {overflow} px too wide at {width}"


def signing_in(browser, demo):
    site = demo.sites["store"]
    browser.goto(site + "/")
    assert path_of(browser) == "/", "the public page asks to sign in"
    sign_in(browser, site)
    cookies = browser.cookies()
    for name in (ACCESS, REFRESH):
        assert cookies[name]["httpOnly"] and cookies[name]["sameSite"] == "Lax" and cookies[name]["path"] == "/", name
    assert "vestibule" not in browser.script("return document.cookie"), "a script can read our cookies"
    browser.goto(site + "/login")
    assert not path_of(browser).startswith("/login"), "the form is shown to the signed in"


def a_wrong_password(browser, demo):
    browser.goto(demo.sites["store"] + PRIVATE)
    fill_in(browser, "not the password")
    until(lambda: browser.has("[role=alert]"), what="a word about what went wrong")
    assert browser.value("#loginId") == EMAIL, "the typed name is lost"
    assert browser.value("#password") == "", "the password came back"
    assert ACCESS not in browser.cookies()
    fill_in(browser)
    until(lambda: path_of(browser) == PRIVATE, what="the page first asked for")


def the_fragment_survives(browser, demo):
    sign_in(browser, demo.sites["store"], PRIVATE + "#part")


def signing_in_without_script(browser, demo):
    browser.goto(demo.sites["store"] + PRIVATE)
    browser.cdp("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.goto(demo.sites["store"] + PRIVATE + "?coupon=a%26b")
    assert not browser.has(".reveal:not([hidden])"), "the form's script ran"
    browser.type("#loginId", EMAIL)
    browser.type("#password", PASSWORD)
    browser.click(SUBMIT)
    until(lambda: path_of(browser) == PRIVATE + "?coupon=a%26b", what="the page first asked for, with its query")


def no_one_lands_on_a_favicon(browser, demo):
    site = demo.sites["store"]
    # The form itself may fetch nothing; a page of the application may.
    browser.goto(site + "/")
    status, redirected = fetch_status(browser, "/favicon.ico")
    assert (status, redirected) == (401, False), "an icon is redirected to a form"
    status, redirected = fetch_status(browser, PRIVATE)
    assert (status, redirected) == (401, False), "a fetch is redirected to a form"
    assert asks_to_sign_in(browser, site + PRIVATE)
    fill_in(browser)
    until(lambda: path_of(browser) == PRIVATE, what="the page first asked for")


def only_an_admin_sees_the_stock(browser, demo):
    site = demo.sites["store"]
    sign_in(browser, site)
    browser.goto(site + "/admin/")
    assert (path_of(browser), status_of_page(browser)) == ("/admin/", 403)
    assert "this page is for others" in browser.text()
    browser.goto(site + "/logout")
    browser.click(SUBMIT)
    until(lambda: path_of(browser) == "/", what="the page after signing out")
    sign_in(browser, site, "/admin/", "admin@example.com")
    assert status_of_page(browser) == 200


def is_sent_elsewhere(browser, demo, email, words):
    """The provider asks this account for what the gateway cannot do: a page says so, and nobody is signed in."""
    browser.goto(demo.sites["store"] + PRIVATE)
    fill_in(browser, email=email)
    until(lambda: words in browser.text(), what=f"a page that says {words!r}")
    assert status_of_page(browser) == 401
    assert not {ACCESS, REFRESH} & browser.cookies().keys(), "signed in all the same"
    browser.click("a.action")
    until(lambda: browser.has("#loginId"), what="the way back to the form")


def an_account_with_a_second_factor(browser, demo):
    is_sent_elsewhere(browser, demo, "twofactor@example.com", "One more step is needed")


def an_account_that_needs_a_new_password(browser, demo):
    is_sent_elsewhere(browser, demo, "newpassword@example.com", "A new password is needed")


def an_expired_token_is_renewed(browser, demo):
    site = demo.sites["store"]
    sign_in(browser, site)
    old = browser.cookies()
    payload = old[ACCESS]["value"].split(".")[1]
    expires = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
    assert expires - time.time() < 70, "the demo's tokens live longer than a minute"
    until(lambda: time.time() > expires, 75, "the end of the access token")
    # Six requests at once, as a page with its parts sends them.
    all_at_once = (
        "const done = arguments[1];"
        "Promise.all(Array.from({length: 6}, () => fetch(arguments[0]).then(r => r.status))).then(done)"
    )
    assert browser.later(all_at_once, PRIVATE) == [200] * 6
    browser.goto(site + PRIVATE)
    assert path_of(browser) == PRIVATE and EMAIL in browser.source()
    assert browser.cookies()[ACCESS]["value"] != old[ACCESS]["value"], "the token is still the old one"


def a_lost_access_cookie_is_renewed(browser, demo):
    site = demo.sites["store"]
    sign_in(browser, site)
    browser.command("DELETE", f"/cookie/{ACCESS}")
    browser.goto(site + PRIVATE)
    assert path_of(browser) == PRIVATE and EMAIL in browser.source()
    assert ACCESS in browser.cookies()


def two_tabs_with_forms(browser, demo):
    site = demo.sites["store"]
    first = browser.tab()
    assert asks_to_sign_in(browser, site + PRIVATE)
    second = browser.new_tab()
    assert asks_to_sign_in(browser, site + PRIVATE)
    browser.switch(first)
    fill_in(browser)
    until(lambda: path_of(browser) == PRIVATE, what="the first tab's page")
    browser.switch(second)
    fill_in(browser)
    until(lambda: path_of(browser) == PRIVATE, what="the second tab's page")


def signing_out(browser, demo):
    site = demo.sites["store"]
    sign_in(browser, site)
    before = browser.cookies()
    browser.goto(site + "/logout")
    assert ACCESS in browser.cookies(), "looking at the page signed out"
    browser.click(SUBMIT)
    until(lambda: path_of(browser) == "/", what="the page after signing out")
    assert not {ACCESS, REFRESH} & browser.cookies().keys(), "cookies stayed"
    for _ in range(3):
        browser.back()
        assert path_of(browser) != PRIVATE or EMAIL not in browser.source(), "the back button shows a private page"
    assert asks_to_sign_in(browser, site + PRIVATE)
    for name in (ACCESS, REFRESH):
        browser.set_cookie(saved(before, name))
    assert asks_to_sign_in(browser, site + PRIVATE), "saved cookies work after the sign-out"


def one_site_is_not_the_other(browser, demo):
    sign_in(browser, demo.sites["store"])
    assert asks_to_sign_in(browser, demo.sites["forum"] + "/posts"), "the store's sign-in opens the forum"


def a_session_at_the_forum(browser, demo):
    """The forum keeps the tokens: its visitors carry an id, which changes with every renewal."""
    site = demo.sites["forum"]
    sign_in(browser, site, "/posts")
    first = browser.cookies()
    assert ACCESS not in first, "a token in a cookie"
    for name in (SESSION, REFRESH):
        assert first[name]["httpOnly"] and first[name]["sameSite"] == "Lax" and first[name]["path"] == "/", name
    browser.goto(site + "/posts")
    assert browser.cookies()[SESSION]["value"] == first[SESSION]["value"], "a new id without a renewal"
    browser.set_cookie({**saved(first, SESSION), "value": "A" * 43})
    browser.goto(site + "/posts")
    assert path_of(browser) == "/posts" and EMAIL in browser.source(), "a lost session is not renewed"
    second = browser.cookies()
    assert second[SESSION]["value"] not in (first[SESSION]["value"], "A" * 43)
    for old in (first, second):
        browser.goto(site + "/")
        browser.forget_cookies()
        browser.set_cookie(saved(old, SESSION))
        browser.goto(site + "/posts")
        assert (path_of(browser) == "/posts") == (old is second), "the wrong session is alive"
    browser.set_cookie(saved(second, REFRESH))
    browser.goto(site + "/logout")
    browser.click(SUBMIT)
    until(lambda: path_of(browser) == "/", what="the page after signing out")
    for names in (SESSION,), (REFRESH,), (SESSION, REFRESH):
        browser.forget_cookies()
        for name in names:
            browser.set_cookie(saved(second, name))
        assert asks_to_sign_in(browser, site + "/posts"), f"{names} work after the sign-out"


def saved(cookies, name):
    return {key: cookies[name][key] for key in ("name", "value", "path", "httpOnly", "sameSite")}


def our_pages_in_every_size_and_light(browser, demo):
    site = demo.sites["store"]
    assert asks_to_sign_in(browser, site + PRIVATE)
    looks(browser, "sign-in")
    fill_in(browser, "not the password")
    until(lambda: browser.has("[role=alert]"), what="a word about what went wrong")
    looks(browser, "wrong-password")
    for account in ("twofactor", "newpassword"):
        browser.goto(site + "/login")
        fill_in(browser, email=f"{account}@example.com")
        until(lambda: browser.has("a.action"), what=f"the page for {account}")
        looks(browser, account)
    for status, path in (400, "/products%2Fx"), (404, "/_vestibule/nothing"):
        browser.goto(site + path)
        assert status_of_page(browser) == status
        looks(browser, f"problem-{status}")
    sign_in(browser, site)
    browser.goto(site + "/admin/")
    looks(browser, "problem-403")
    browser.goto(site + "/logout")
    looks(browser, "sign-out")


def the_applications_in_every_size_and_light(browser, demo):
    store, forum = demo.sites["store"], demo.sites["forum"]
    sign_in(browser, store, "/admin/", "admin@example.com")
    sign_in(browser, forum, "/posts")
    pages = {"stock": store + "/admin/", "shelf": store + "/", "cart": store + PRIVATE}
    pages |= {"porch": forum + "/", "posts": forum + "/posts"}
    for name, address in pages.items():
        browser.goto(address)
        browser.script("document.querySelectorAll('details').forEach(details => details.open = true)")
        looks(browser, name)
    for name, site, inside in ("product", store, "/products/"), ("thread", forum, "/posts/"):
        browser.goto(site + ("/" if name == "product" else "/posts"))
        browser.click(f"a[href^='{inside}']")
        until(lambda: path_of(browser).startswith(inside), what=f"a {name}")
        looks(browser, name)


SCENARIOS = [
    signing_in,
    a_wrong_password,
    the_fragment_survives,
    signing_in_without_script,
    no_one_lands_on_a_favicon,
    a_lost_access_cookie_is_renewed,
    two_tabs_with_forms,
    signing_out,
    one_site_is_not_the_other,
    a_session_at_the_forum,
    only_an_admin_sees_the_stock,
    an_account_with_a_second_factor,
    an_account_that_needs_a_new_password,
    our_pages_in_every_size_and_light,
    the_applications_in_every_size_and_light,
    an_expired_token_is_renewed,
]


def main():
    only = sys.argv[2:]
    passed = failed = 0
    demo = Demo(sys.argv[1])
    try:
        for scenario in SCENARIOS:
            name = scenario.__name__.replace("_", " ")
            if only and not any(word in name for word in only):
                continue
            with Browser() as browser:
                try:
                    scenario(browser, demo)
                    passed += 1
                    print(f"ok: {name}", flush=True)
                except Exception:
                    failed += 1
                    browser.screenshot(SCREENSHOTS / f"failed-{scenario.__name__}.png")
                    print(f"FAILED: {name}, at {browser.url()}\n{traceback.format_exc()}", flush=True)
    finally:
        demo.stop()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
