"""The demo and a person's ways in it, for the scenarios in Chromium."""

import re
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from installed import target_directory
from webdriver import until

PRIVATE = "/shopping-cart"
EMAIL, PASSWORD = "shopper@example.com", "vestibule demo"
ACCESS, REFRESH, SESSION = "vestibule-access", "vestibule-refresh", "vestibule-session"
SUBMIT = "button[type=submit]"
SCREENSHOTS = target_directory() / "screenshots"


class Demo:
    """`vestibule demo` on a port of its own, and the addresses it prints."""

    def __init__(self, binary, *options):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.binary = str(Path(binary).resolve())
        self.state = tempfile.TemporaryDirectory(prefix="vestibule-demo-")
        self.process = subprocess.Popen(
            [self.binary, "demo", "--port", str(port), *options],
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

    def messages(self):
        """What was sent to its people: files in the directory it names."""
        return sorted(Path(re.search(r"\S+/outbox\b", self.said)[0]).glob("*.txt"))

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


def submit(browser, password=PASSWORD, email=EMAIL):
    fill_in(browser, password, email)
    browser.leave(SUBMIT)


def sign_in(browser, site, path=PRIVATE, email=EMAIL):
    browser.goto(site + path)
    until(lambda: path_of(browser).startswith("/login"), what="the sign-in form")
    submit(browser, email=email)
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


def saved(cookies, name):
    return {key: cookies[name][key] for key in ("name", "value", "path", "httpOnly", "sameSite")}
