#!/usr/bin/env python3
"""The documentation as a website (`make site`): site.py DIRECTORY. Every link leads to a page and, if it has an anchor, to
a part of it. In Chromium, pages fit a telephone and a desk, light and dark, and the search finds words. Prints `N passed,
N failed`; screenshots are in target/screenshots/site."""

import functools
import html.parser
import http.server
import itertools
import sys
import threading
import traceback
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from demo import SCREENSHOTS  # noqa: E402
from webdriver import Browser, until  # noqa: E402

SHOTS = SCREENSHOTS / "site"
# mdBook's page for addresses that are not there has links from the top of a host.
APART = {"404.html", "toc.html"}
PAGES = ["index.html", "guide/systemd.html", "guide/troubleshooting.html", "guide/applications/index.html", "reference/configuration.html"]


class Page(html.parser.HTMLParser):
    """The addresses that a page names, and the ids of its parts."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.add(value)
            elif name in ("href", "src") and value is not None:
                self.links.append(value)


class Site:
    def __init__(self, directory):
        self.directory = Path(directory)
        files = sorted(self.directory.rglob("*.html"))
        self.pages = {str(file.relative_to(self.directory)): Page(file.read_text()) for file in files}
        handler = functools.partial(Quiet, directory=str(directory))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.origin = f"http://127.0.0.1:{self.server.server_port}/"

    def links(self):
        """Every link leads somewhere."""
        followed, broken = 0, []
        for name, page in self.pages.items():
            for link in [] if name in APART else page.links:
                parts = urllib.parse.urlsplit(link)
                if parts.scheme or parts.netloc:
                    continue
                followed += 1
                wanted = urllib.parse.urljoin("/" + name, urllib.parse.unquote(parts.path) or "/" + name).lstrip("/")
                if wanted.endswith("/") or not wanted:
                    wanted += "index.html"
                anchor = urllib.parse.unquote(parts.fragment)
                if not (self.directory / wanted).is_file():
                    broken.append(f"{name}: {link}: no such file")
                elif anchor and wanted in self.pages and anchor not in self.pages[wanted].ids:
                    broken.append(f"{name}: {link}: no such part")
        assert followed > 1000, "the links were not found"
        assert not broken, "\n".join(broken)

    def pictures(self):
        """Every picture has a text in its place."""
        for name, page in self.pages.items():
            text = (self.directory / name).read_text()
            assert "<img" not in text or "<img alt=" in text or ' alt="' in text, name

    def fits(self, browser):
        """Pages fit at 360 and 1280 pixels, light and dark, and no picture is missing."""
        for page, width, scheme in itertools.product(PAGES, (360, 1280), ("light", "dark")):
            browser.size(width)
            browser.scheme(scheme)
            browser.goto(self.origin + page)
            over = browser.script("return document.documentElement.scrollWidth - innerWidth")
            assert over <= 0, f"{page} is {over} px too wide at {width}"
            browser.screenshot(SHOTS / f"{page.removesuffix('.html').replace('/', '-')}-{width}-{scheme}.png")
            missing = browser.script("return [...document.images].filter(i => !i.naturalWidth).map(i => i.src)")
            assert not missing, f"{page}: {missing}"

    def no_page_scrolls_sideways(self, browser):
        """The same for every page, on a telephone."""
        browser.size(360)
        wide = []
        for page in self.pages:
            browser.goto(self.origin + page)
            over = browser.script("return document.documentElement.scrollWidth - innerWidth")
            if over > 0 and page not in APART:
                wide.append(f"{page} is {over} px too wide")
        assert not wide, "\n".join(wide)

    def follows_the_system(self, browser):
        """The colours are those of the visitor's system."""
        browser.size(1280)
        shades = []
        for scheme in ("light", "dark"):
            browser.scheme(scheme)
            browser.goto(self.origin)
            shades.append(browser.script("return getComputedStyle(document.documentElement).backgroundColor"))
        assert shades[0] != shades[1], shades

    def search(self, browser):
        """The search finds what is asked for, and leads to it."""
        browser.size(1280)
        browser.scheme("light")
        browser.goto(self.origin)
        browser.click("#mdbook-search-toggle")
        browser.type("#mdbook-searchbar", "refresh")
        until(lambda: browser.has("#mdbook-searchresults li a"), what="results of the search")
        found = browser.script("return [...document.querySelectorAll('#mdbook-searchresults li a')].map(a => a.href)")
        assert any("reference/refresh.html" in link for link in found), found
        browser.screenshot(SHOTS / "search.png")
        browser.leave("#mdbook-searchresults li a")
        assert "refresh" in browser.text("main").lower(), browser.url()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main():
    site = Site(sys.argv[1])
    passed, failed = 0, 0
    with Browser() as browser:
        steps = [(Site.links, ()), (Site.pictures, ())]
        steps += [(step, (browser,)) for step in (Site.fits, Site.no_page_scrolls_sideways, Site.follows_the_system, Site.search)]
        for step, arguments in steps:
            print(f"{step.__name__}: {step.__doc__}", flush=True)
            try:
                step(site, *arguments)
                passed += 1
            except Exception:
                traceback.print_exc()
                failed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
