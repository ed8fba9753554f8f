#!/usr/bin/env python3
"""What a person with Chromium meets in `vestibule demo --sso`: one_sign_in.py VESTIBULE_BINARY [WORD...]. Prints
`N passed, N failed`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from browser import totp  # noqa: E402
from demo import EMAIL, PASSWORD, PRIVATE, SUBMIT, Demo, looks, path_of, submit  # noqa: E402
from redirect_sign_in import play  # noqa: E402
from webdriver import until  # noqa: E402

POSTS = "/posts"


def is_asked(browser):
    return browser.url().startswith("http://identity.localhost:") and browser.has("#loginId")


def is_at(browser, address):
    until(lambda: browser.url() == address, what=f"the page {address}")


def sign_in(browser, address, email=EMAIL):
    browser.goto(address)
    until(lambda: is_asked(browser), what="the form of the identity server")
    submit(browser, email=email)


def one_sign_in_for_both(browser, demo):
    cart, posts = demo.sites["store"] + PRIVATE + "?coupon=a%26b", demo.sites["forum"] + POSTS
    browser.goto(cart)
    until(lambda: is_asked(browser), what="the form of the identity server")
    assert "store.localhost" in browser.text(), "nobody says where this leads"
    looks(browser, "identity-server")
    submit(browser, "not the password")
    until(lambda: browser.has("[role=alert]"), what="a word about what went wrong")
    assert browser.value("#loginId") == EMAIL and browser.value("#password") == ""
    submit(browser)
    is_at(browser, cart)
    assert EMAIL in browser.source()
    browser.goto(posts)
    assert browser.url() == posts and EMAIL in browser.source(), "the forum asked again"
    assert "vestibule" not in browser.script("return document.cookie"), "a script can read our cookies"


def a_sign_out_ends_both(browser, demo):
    pages = [(demo.sites["store"], PRIVATE), (demo.sites["forum"], POSTS)]
    for (here, page), (there, other) in (pages, pages[::-1]):
        sign_in(browser, here + page)
        is_at(browser, here + page)
        browser.goto(there + other)
        is_at(browser, there + other)
        browser.goto(here + "/logout")
        browser.leave(SUBMIT)
        is_at(browser, here + "/")
        # The tokens at the other site were for a minute. Its provider has told it.
        until(lambda: browser.goto(there + other) or is_asked(browser), what="the end at the other site")


def a_second_factor(browser, demo):
    address = demo.sites["forum"] + POSTS
    sign_in(browser, address, "twofactor@example.com")
    until(lambda: browser.has("#code"), what="the form for a code")
    browser.type("#code", "000000")
    browser.leave("form:has(#code) " + SUBMIT)
    until(lambda: browser.has("[role=alert]"), what="a word about the wrong code")
    browser.type("#code", totp())
    browser.leave("form:has(#code) " + SUBMIT)
    is_at(browser, address)


def a_new_password(browser, demo):
    address = demo.sites["store"] + PRIVATE
    sign_in(browser, address, "newpassword@example.com")
    until(lambda: browser.has("input[autocomplete=new-password]"), what="the form for a new password")
    browser.type("#password", "a lantern by the porch")
    browser.leave(SUBMIT)
    is_at(browser, address)


def who_cancels_can_begin_again(browser, demo):
    address = demo.sites["store"] + PRIVATE
    browser.goto(address)
    until(lambda: is_asked(browser), what="the form of the identity server")
    browser.leave("a.way")
    until(lambda: path_of(browser).startswith("/_vestibule/callback"), what="the gateway's page")
    assert "The sign-in was not completed" in browser.text(), browser.text()
    browser.leave("main a[href*='/login']")
    until(lambda: is_asked(browser), what="the form again")
    submit(browser, PASSWORD)
    is_at(browser, address)


def main():
    binary, *only = sys.argv[1:]
    demo = Demo(binary, "--sso")
    try:
        scenarios = [one_sign_in_for_both, a_sign_out_ends_both, a_second_factor, a_new_password, who_cancels_can_begin_again]
        failed = play(scenarios, demo, only)
    finally:
        demo.stop()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
