#!/usr/bin/env python3
"""Whether everybody can use the gateway's own pages: accessibility.py VESTIBULE_BINARY [WORD...].

axe-core in Chromium judges every page in every state (`src/pages/samples.rs`, written by `examples/pages`), by
day and by night, on a telephone and a desk, in German (long), Arabic (from the right) and English, without and with a theme; then what
a person meets at the running gateway. Beyond axe: the keyboard, the ring around what it is at, the size of what is pressed, narrow
windows, and what the visitor's system asks for. Words choose states by name. Prints `N passed, N failed`; leaves pictures in
`target/screenshots/pages`. Exits 0 when nothing failed, 1 otherwise, and 77, saying why, where axe-core cannot be had.
"""

import functools
import http.server
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import npm  # noqa: E402
from demo import PRIVATE, SCREENSHOTS, Demo, sign_in, submit  # noqa: E402
from gateway import example  # noqa: E402
from webdriver import Browser, until  # noqa: E402

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LANGUAGES = ["en", "de", "ar"]
WIDTHS = [360, 1280]
SCHEMES = ["light", "dark"]
# Pages that are long in some language, each kind once.
PICTURES = [
    "sign-in-fresh", "sign-in-wrong-password", "sign-in-throttled", "sign-in-unavailable", "sign-in-unsent", "unsent-offer",
    "two-factor-send", "two-factor-sent", "two-factor-wrong", "new-password-fresh", "new-password-rejected", "asks-password-change-required",
    "circle-duplicates", "problem-403", "problem-404", "problem-503", "sign-out", "signed-out", "themed.sign-in-fresh", "themed.sign-in-wrong-password",
]
PICTURE_LANGUAGES = [*LANGUAGES, "ja", "fr"]
TAB, ENTER = "\ue004", "\ue007"

JUDGE = """
const [tags, done] = arguments;
axe.run(document, {runOnly: {type: 'tag', values: tags}, rules: {'target-size': {enabled: true}}, resultTypes: ['violations']})
  .then((found) => done(found.violations.map((v) => `${v.id}: ${v.help}: ` + v.nodes.map((n) => n.target.join(' ')).join(', '))),
        (error) => done(['axe itself: ' + error]));
"""

# What axe does not look at. Gives what is wrong, in words.
LOOK = """
const wrong = [];
const all = (css) => [...document.querySelectorAll(css)].filter((e) => e.checkVisibility());
if (document.documentElement.scrollWidth > innerWidth) wrong.push(`${document.documentElement.scrollWidth - innerWidth} px too wide`);
for (const e of all('a, button, input:not([type=checkbox])')) {
  const box = e.getBoundingClientRect();
  if (box.width < 24 || box.height < 24) wrong.push(`${e.outerHTML.slice(0, 60)} is ${box.width} x ${box.height}`);
  if (e.scrollWidth > e.clientWidth + 1 && e.tagName !== 'INPUT') wrong.push(`${e.outerHTML.slice(0, 60)} is cut off`);
}
for (const e of all('input[type=checkbox]')) {
  const box = e.closest('label').getBoundingClientRect();
  if (box.height < 24) wrong.push('the label of a box is too low');
}
for (const e of document.querySelectorAll('[aria-describedby]'))
  for (const id of e.getAttribute('aria-describedby').split(' '))
    if (!document.getElementById(id)?.textContent.trim()) wrong.push(`${id} describes nothing`);
const trouble = document.querySelector('#trouble');
if (trouble && !trouble.matches('[role=alert], [role=status]')) wrong.push('the notice is not announced');
if (trouble?.matches('[role=alert]')) for (const e of all('form input:not([type=checkbox])'))
  if (!e.getAttribute('aria-describedby')?.includes('trouble')) wrong.push(`${e.id} does not say what is wrong`);
if (document.querySelectorAll('h1').length !== 1) wrong.push('not one heading');
return wrong;
"""

RING = """
const e = document.activeElement, style = getComputedStyle(e);
return [e.id || e.className || e.tagName, e.matches(':focus-visible'), style.outlineStyle, parseFloat(style.outlineWidth)];
"""


def pages(binary, folder):
    """Every page in every state, as files; the policy of the gateway's own pages goes along."""
    subprocess.run([str(example(binary, "pages")), folder], check=True)

    class Pages(http.server.SimpleHTTPRequestHandler):
        def end_headers(self):
            policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'"
            self.send_header("Content-Security-Policy", policy)
            super().end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pages, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


class Judge:
    """One browser, axe, and what was found so far."""

    def __init__(self, browser, axe):
        self.browser, self.axe, self.passed, self.failed = browser, axe, 0, 0

    def note(self, name, wrong):
        if wrong:
            self.failed += 1
            print(f"not ok {name}", *wrong, sep="\n    ")
        else:
            self.passed += 1

    def page(self, name):
        """The page that is shown: axe, and what axe does not look at."""
        # Given to the driver, not to the page, whose policy lets no script in.
        self.browser.script(self.axe)
        self.note(name, self.browser.later(JUDGE, TAGS) + self.browser.script(LOOK))


def every_state(judge, base, folder, words):
    browser = judge.browser
    for file in sorted(Path(folder).glob("*.html")):
        state, language = file.name.removesuffix(".html").rsplit(".", 1)
        if words and not any(word in state for word in words):
            continue
        pictured = state in PICTURES and language in PICTURE_LANGUAGES
        judged = language in LANGUAGES and (not state.startswith("themed.") or state in PICTURES)
        if not pictured and not judged:
            continue
        for width in WIDTHS:
            browser.size(width)
            browser.goto(f"{base}/{file.name}")
            for scheme in SCHEMES:
                browser.prefers({"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"})
                if judged:
                    judge.page(f"{state}, {language}, {scheme}, {width}")
                if pictured:
                    browser.screenshot(SCREENSHOTS / "pages" / f"{state}.{language}-{width}-{scheme}.png")
        if judged:
            # Four times the size in a window of 1280 (WCAG 2.2, success criterion 1.4.10).
            browser.size(320)
            judge.note(f"{state}, {language}, 320", browser.script(LOOK))


def keyboard(judge, base):
    """From the top to the bottom with Tab alone, always seeing where."""
    browser = judge.browser
    browser.size(1280)
    orders = {
        "sign-in-fresh": ["loginId", "password", "reveal", "remember", "action"],
        "themed.sign-in-wrong-password": ["loginId", "password", "reveal", "remember", "action", "way", "way", "A", "A"],
        "sign-out": ["action", "way"],
        "problem-503": ["action", "way"],
    }
    for state, order in orders.items():
        for language in ("en", "ar"):
            for features in ({}, {"forced-colors": "active"}, {"prefers-color-scheme": "dark"}):
                browser.prefers(features)
                browser.goto(f"{base}/{state}.{language}.html")
                # The form begins at the field to fill; this begins at the top.
                browser.script("document.body.tabIndex = -1; document.body.focus()")
                went, wrong = [], []
                for _ in order:
                    browser.press(TAB)
                    name, visible, style, width = browser.script(RING)
                    went.append("remember" if name == "INPUT" else name)
                    if not visible or style == "none" or width < 2:
                        wrong.append(f"nothing shows that {name} has the focus: {style} {width}")
                if went != order:
                    wrong.append(f"Tab goes {went}, not {order}")
                judge.note(f"{state}, {language}, keyboard, {features}", wrong)


def from_the_right(judge, base):
    """Addresses and numbers run from the left within Arabic, also after the script has come by."""
    browser = judge.browser
    browser.goto(f"{base}/two-factor-send.ar.html")
    kept = "return [...document.querySelectorAll('form button bdi[dir=ltr]')].map(e => e.textContent)"
    kept = browser.script(kept)
    judge.note("numbers within Arabic", [] if len(kept) == 2 else [f"only {kept} are kept apart"])


def systems(judge, base):
    """What the visitor's system asks for: no motion, colours of its own."""
    browser = judge.browser
    browser.goto(f"{base}/sign-in-wrong-password.en.html")
    browser.prefers({"prefers-reduced-motion": "reduce"})
    moving = "return [...document.querySelectorAll('*')].filter(e => getComputedStyle(e).transitionDuration !== '0s').length"
    judge.note("no motion", [f"{n} things move" for n in [browser.script(moving)] if n])
    browser.prefers({"forced-colors": "active"})
    edges = (
        "return [...document.querySelectorAll('.action, .field input, .notice')]"
        ".filter(e => getComputedStyle(e).borderTopStyle === 'none').map(e => e.className + ' has no edge')"
    )
    judge.note("forced colours", browser.script(edges))
    browser.screenshot(SCREENSHOTS / "pages" / "forced-colours.png")
    browser.prefers({})


def live(judge, demo):
    """What a person meets at the running gateway, in their language."""
    browser, site = judge.browser, demo.sites["store"]
    browser.size(360)
    # Signed out for all of it: `shows` is what must be there.
    for language, heading in [("de", "Anmelden"), ("ar", "تسجيل الدخول"), ("en", "Sign in")]:
        browser.goto(site + "/")
        browser.forget_cookies()
        browser.reads(language)
        browser.goto(site + PRIVATE)
        judge.note(f"live form, {language}", [] if browser.text("h1") == heading else [browser.text("h1")])
        judge.page(f"live form, {language}")
        submit(browser, "wrong", f"{language}@example.com")
        until(lambda: browser.has("[role=alert]"), what="a word about what went wrong")
        focused = browser.script("return document.activeElement.id")
        judge.note(f"live focus after a wrong password, {language}", [] if focused == "password" else [focused])
        invalid = browser.script("return [...document.querySelectorAll('[aria-invalid=true]')].map(e => e.id)")
        judge.note(f"live fields in doubt, {language}", [] if invalid == ["loginId", "password"] else invalid or ["none"])
        judge.page(f"live wrong password, {language}")
        for path, name in [("/_vestibule/none", "404"), ("/a%00b", "400"), ("/logout", "sign-out")]:
            browser.goto(site + path)
            judge.page(f"live {name}, {language}")
    sign_in(browser, site)
    browser.goto(site + "/admin/")
    judge.page("live 403, en")
    browser.goto(site + "/logout")
    browser.press(TAB)
    browser.press(ENTER)
    until(lambda: not browser.has("form"), what="a sign-out by keyboard")
    for email, name in [("twofactor@example.com", "second factor"), ("newpassword@example.com", "new password")]:
        browser.goto(site + PRIVATE)
        submit(browser, email=email)
        until(lambda: not browser.has("#loginId"), what=f"the page that asks for a {name}")
        judge.page(f"live {name}, en")
    browser.goto(site + PRIVATE)
    for _ in range(8):
        submit(browser, "wrong", "throttled@example.com")
        until(lambda: browser.has("[role=alert]"), what="a word about what went wrong")
    judge.page("live throttled, en")


def main(binary, *words):
    axe = npm.install("axe", "axe-core").joinpath("node_modules/axe-core/axe.min.js").read_text()
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        base = pages(binary, folder)
        judge = Judge(browser, axe)
        every_state(judge, base, folder, words)
        if not words:
            keyboard(judge, base)
            from_the_right(judge, base)
            systems(judge, base)
            demo = Demo(binary)
            try:
                live(judge, demo)
            finally:
                demo.stop()
    print(f"{judge.passed} passed, {judge.failed} failed")
    return 1 if judge.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
