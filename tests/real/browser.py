#!/usr/bin/env python3
"""What a person with Chromium meets in the demo: browser.py VESTIBULE_BINARY. Prints `N passed, N failed`."""

import base64
import hmac
import json
import re
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from demo import (  # noqa: E402
    ACCESS, EMAIL, PASSWORD, PRIVATE, REFRESH, SCREENSHOTS, SESSION, SUBMIT, Demo, asks_to_sign_in, fetch_status, looks,
    path_of, saved, sign_in, status_of_page, submit,
)
from one_page import (  # noqa: E402
    APP, a_page_that_another_person_goes_on_with, a_script_in_the_page_finds_no_token,
    a_session_that_ends_under_a_page, a_shop_in_one_page, an_app_lives_through_the_end_of_its_token, cart_is_shown,
)
from ways_on import (  # noqa: E402
    a_popup_of_another_origin_is_cut_off, a_popup_of_the_site_tells_the_window_that_opened_it,
    a_sign_in_and_a_sign_out_lead_on_to_another_origin, what_is_sent_again_leads_on_and_is_sent_once,
    what_was_sent_is_not_offered_again_by_the_back_button,
)
from webdriver import Browser, until  # noqa: E402


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
    submit(browser, "not the password")
    until(lambda: browser.has("[role=alert]"), what="a word about what went wrong")
    assert browser.value("#loginId") == EMAIL, "the typed name is lost"
    assert browser.value("#password") == "", "the password came back"
    assert ACCESS not in browser.cookies()
    submit(browser)
    until(lambda: path_of(browser) == PRIVATE, what="the page first asked for")


def caps_lock_is_told(browser, demo):
    browser.goto(demo.sites["store"] + PRIVATE)

    def key(state):
        browser.script(
            "const options = {bubbles: true, key: 'A', modifierCapsLock: arguments[0]};"
            "document.querySelector('#password').dispatchEvent(new KeyboardEvent('keyup', options))",
            state,
        )
        return browser.text("#caps-lock")

    assert browser.text("#caps-lock") == "", "told before a key was pressed"
    assert key(True) == "Caps Lock is on."
    looks(browser, "caps-lock")
    assert key(False) == ""


def a_chosen_language_stays(browser, demo):
    site = demo.sites["store"]
    language = "return document.documentElement.lang"
    browser.goto(site + PRIVATE)
    browser.click(".languages summary")
    looks(browser, "languages")
    browser.leave(".languages [hreflang=ja]")
    assert browser.script(language) == "ja"
    looks(browser, "sign-in-ja")
    submit(browser, "not the password")
    until(lambda: browser.has("[role=alert]"), what="a word about what went wrong")
    assert browser.script(language) == "ja"
    submit(browser)
    until(lambda: path_of(browser) == PRIVATE, what="the page first asked for")
    browser.goto(site + "/admin/")
    assert browser.script(language) == "ja"


def the_fragment_survives(browser, demo):
    sign_in(browser, demo.sites["store"], PRIVATE + "#part")


def signing_in_without_script(browser, demo):
    browser.goto(demo.sites["store"] + PRIVATE)
    browser.cdp("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.goto(demo.sites["store"] + PRIVATE + "?coupon=a%26b")
    assert not browser.has(".reveal:not([hidden])"), "the form's script ran"
    browser.type("#loginId", EMAIL)
    browser.type("#password", PASSWORD)
    browser.leave(SUBMIT)
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
    submit(browser)
    until(lambda: path_of(browser) == PRIVATE, what="the page first asked for")


def only_an_admin_sees_the_stock(browser, demo):
    site = demo.sites["store"]
    sign_in(browser, site)
    browser.goto(site + "/admin/")
    assert (path_of(browser), status_of_page(browser)) == ("/admin/", 403)
    assert "your account has no access to this page" in browser.text()
    browser.goto(site + "/logout")
    browser.leave(SUBMIT)
    until(lambda: path_of(browser) == "/", what="the page after signing out")
    sign_in(browser, site, "/admin/", "admin@example.com")
    assert status_of_page(browser) == 200


def totp(secret="KZSXG5DJMJ2WYZJAMRSW23ZAORXXI4BB"):
    """The code that an authenticator app shows for the demo's account (RFC 6238)."""
    digest = hmac.digest(base64.b32decode(secret), int(time.time() // 30).to_bytes(8, "big"), "sha1")
    at = digest[-1] & 15
    return f"{(int.from_bytes(digest[at:at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def asked_for_a_second_factor(browser, site):
    browser.goto(site + PRIVATE + "?coupon=a%26b")
    submit(browser, email="twofactor@example.com")
    until(lambda: browser.has("#code"), what="the form for a code")
    assert status_of_page(browser) == 200
    assert not {ACCESS, REFRESH} & browser.cookies().keys(), "signed in by half"


def an_account_with_a_second_factor(browser, demo):
    """A wrong code, a code of the app, and no code any more at a browser that its owner trusts."""
    site, there = demo.sites["store"], PRIVATE + "?coupon=a%26b"
    asked_for_a_second_factor(browser, site)
    browser.type("#code", "000000")
    browser.click("input[name=trust]")
    browser.leave("form:has(#code) " + SUBMIT)
    until(lambda: browser.has("[role=alert]"), what="a word about the wrong code")
    assert browser.value("#code") == "" and browser.script("return document.querySelector('[name=trust]').checked")
    looks(browser, "wrong-code")
    browser.type("#code", totp()[:3] + " " + totp()[3:])
    browser.leave("form:has(#code) " + SUBMIT)
    until(lambda: path_of(browser) == there, what="the page first asked for, with its query")
    # Back to the code that was posted, which is no form to be sent again, and to the form before it.
    browser.back()
    browser.back()
    until(lambda: path_of(browser).startswith("/login/two-factor?challenge="), what="the step")
    assert browser.has("#code"), "the browser asks to send a form again"
    browser.goto(site + "/logout")
    browser.leave(SUBMIT)
    until(lambda: path_of(browser) == "/", what="the page after signing out")
    sign_in(browser, site, PRIVATE, "twofactor@example.com")


def back_from_a_second_factor(browser, demo):
    """The back button shows forms, and never asks to send one again."""
    site = demo.sites["store"]
    asked_for_a_second_factor(browser, site)
    step = browser.url()
    browser.back()
    until(lambda: path_of(browser).startswith("/login?") and browser.has("#loginId"), what="the sign-in form")
    browser.goto(step)
    assert browser.has("#code") and status_of_page(browser) == 200, "the step is gone"
    with Browser() as another:
        another.goto(step)
        assert status_of_page(another) == 401 and not another.has("#code"), "the step goes on in another browser"


def a_code_by_mail_without_script(browser, demo):
    site = demo.sites["store"]
    browser.goto(site + "/login")
    browser.cdp("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.goto(site + PRIVATE)
    browser.type("#loginId", "twofactor@example.com")
    browser.type("#password", PASSWORD)
    browser.leave(SUBMIT)
    until(lambda: browser.has("#code"), what="the form for a code")
    before = set(demo.messages())
    browser.leave("form:has([name=choice]) " + SUBMIT)
    until(lambda: browser.has("[role=status]"), what="the word that a code is on its way")
    looks(browser, "code-sent")
    message = (set(demo.messages()) - before).pop().read_text()
    browser.type("#code", re.search(r"\b\d{6}\b", message.split("\n\n", 1)[1])[0])
    browser.leave("form:has(#code) " + SUBMIT)
    until(lambda: path_of(browser) == PRIVATE, what="the page first asked for")


def an_account_that_needs_a_new_password(browser, demo):
    site = demo.sites["store"]
    browser.goto(site + PRIVATE)
    submit(browser, email="newpassword@example.com")
    until(lambda: browser.has("input[autocomplete=new-password]"), what="the form for a new password")
    assert status_of_page(browser) == 200 and "ask you to choose a new password" in browser.text()
    browser.type("#password", "short")
    browser.leave(SUBMIT)
    until(lambda: browser.has(".rules li"), what="the rules that it breaks")
    assert browser.value("#password") == "", "the password came back"
    looks(browser, "password-rules")
    browser.type("#password", "a lantern by the porch")
    browser.click(".reveal")
    assert browser.script("return document.querySelector('#password').type") == "text"
    browser.leave("form " + SUBMIT)
    until(lambda: path_of(browser) == PRIVATE, what="the page first asked for")
    assert "newpassword@example.com" in browser.source()


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
    submit(browser)
    until(lambda: path_of(browser) == PRIVATE, what="the first tab's page")
    browser.switch(second)
    submit(browser)
    until(lambda: path_of(browser) == PRIVATE, what="the second tab's page")


def signing_out(browser, demo):
    site = demo.sites["store"]
    sign_in(browser, site)
    before = browser.cookies()
    browser.goto(site + "/logout")
    assert ACCESS in browser.cookies(), "looking at the page signed out"
    browser.leave(SUBMIT)
    until(lambda: path_of(browser) == "/", what="the page after signing out")
    assert not {ACCESS, REFRESH} & browser.cookies().keys(), "cookies stayed"
    for _ in range(3):
        browser.back()
        assert path_of(browser) != PRIVATE or EMAIL not in browser.source(), "the back button shows a private page"
    assert asks_to_sign_in(browser, site + PRIVATE)
    for name in (ACCESS, REFRESH):
        browser.set_cookie(saved(before, name))
    assert asks_to_sign_in(browser, site + PRIVATE), "saved cookies work after the sign-out"


def two_users_one_after_another_in_one_browser(browser, demo):
    """Both applications keep a session of their own. It is never the one of the user before."""
    other = "admin@example.com"

    def opened_for(email):
        name = email.partition("@")[0]
        told = browser.script("return [...document.querySelectorAll('strong')].map(name => name.textContent)")
        return told == [name]

    def session_cookie(name):
        return browser.cookies()[name]["value"]

    for name, path, cookie in (("store", PRIVATE, "lantern_session"), ("forum", "/posts", "porch_session")):
        site = demo.sites[name]
        sign_in(browser, site, path)
        browser.goto(site + path)
        assert opened_for(EMAIL), f"the {name} has no session of its own"
        first = session_cookie(cookie)
        browser.goto(site + "/logout")
        browser.leave(SUBMIT)
        until(lambda: path_of(browser) == "/", what="the page after signing out")
        assert cookie not in browser.cookies(), f"the session of the {name} outlives the sign-out"
        sign_in(browser, site, path, other)
        assert opened_for(other), f"the {name} shows the user before"
        second = session_cookie(cookie)
        assert second != first
        # The gateway's session ends by age. The application's does not.
        for own in (ACCESS, REFRESH, SESSION):
            browser.command("DELETE", f"/cookie/{own}")
        assert session_cookie(cookie) == second
        sign_in(browser, site, path)
        looks(browser, f"{name}-next-user")
        assert opened_for(EMAIL), f"the {name} shows the user before"
        assert session_cookie(cookie) != second


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
    assert ACCESS not in second, "a token in a cookie after the renewal"
    for old in (first, second):
        browser.goto(site + "/")
        browser.forget_cookies()
        browser.set_cookie(saved(old, SESSION))
        browser.goto(site + "/posts")
        assert (path_of(browser) == "/posts") == (old is second), "the wrong session is alive"
    browser.set_cookie(saved(second, REFRESH))
    browser.goto(site + "/logout")
    browser.leave(SUBMIT)
    until(lambda: path_of(browser) == "/", what="the page after signing out")
    for names in (SESSION,), (REFRESH,), (SESSION, REFRESH):
        browser.forget_cookies()
        for name in names:
            browser.set_cookie(saved(second, name))
        assert asks_to_sign_in(browser, site + "/posts"), f"{names} work after the sign-out"


def what_was_written_is_not_lost(browser, demo):
    """A long post at the forum, the session ended underneath, and who signs in then."""
    site = demo.sites["forum"]
    text = "Dear porch,\n\n" + "I have two lanterns & a \"basket\" to give away, grüße 日本." * 25

    def write(title):
        if asks_to_sign_in(browser, site + "/posts"):
            submit(browser)
            until(lambda: path_of(browser) == "/posts", what="the forum")
        browser.type("#title", title)
        browser.script("document.querySelector('#text').value = arguments[0]", text)
        # In another tab.
        assert browser.later("fetch('/logout', {method: 'POST', redirect: 'manual'}).then(() => arguments[0](true))")
        browser.leave(".write button")
        until(lambda: browser.has("input[name=unsent]"), what="the form in which the post waits")
        assert "not lost" in browser.text("#trouble")

    def posts():
        browser.goto(site + "/posts")
        return browser.script("return [...document.querySelectorAll('.threads a')].map(a => a.textContent)")

    write("Two lanterns")
    submit(browser)
    until(lambda: browser.has(".written"), what="the step before it is sent")
    looks(browser, "unsent-offer")
    browser.leave(SUBMIT)
    until(lambda: path_of(browser).startswith("/posts"), what="the forum again")
    assert posts().count("Two lanterns") == 1
    browser.leave(".threads a")
    shown = browser.script("return document.querySelector('.post .text').textContent")
    assert shown.replace("\r\n", "\n") == text, shown
    write("Two baskets")
    submit(browser, email="admin@example.com")
    until(lambda: browser.has(".written"), what="the page with the text for copying")
    looks(browser, "unsent-another")
    assert not browser.has("form") and browser.value("#written-2").replace("\r\n", "\n") == text
    assert "Two baskets" not in posts(), "it was sent in another's name"


def our_pages_in_every_size_and_light(browser, demo):
    site = demo.sites["store"]
    assert asks_to_sign_in(browser, site + PRIVATE)
    looks(browser, "sign-in")
    submit(browser, "not the password")
    until(lambda: browser.has("[role=alert]"), what="a word about what went wrong")
    looks(browser, "wrong-password")
    for account in ("twofactor", "newpassword"):
        browser.goto(site + "/login")
        submit(browser, email=f"{account}@example.com")
        until(lambda: browser.has("#code, [autocomplete=new-password]"), what=f"the form for {account}")
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
    browser.goto(store + APP)
    until(lambda: cart_is_shown(browser), what="the shop in one page")
    looks(browser, "app")
    browser.click("#shelf [data-product=night-kettle]")
    browser.click("#shelf [data-product=loom-basket]")
    until(lambda: "Loom Basket" in browser.text("#lines"), what="something in the cart")
    looks(browser, "app-cart")
    browser.click("#leave")
    until(lambda: browser.has("#door[open]"), what="the page's own form")
    looks(browser, "app-form")
    for name, site, inside in ("product", store, "/products/"), ("thread", forum, "/posts/"):
        browser.goto(site + ("/" if name == "product" else "/posts"))
        browser.leave(f"a[href^='{inside}']")
        until(lambda: path_of(browser).startswith(inside), what=f"a {name}")
        looks(browser, name)


SCENARIOS = [
    signing_in,
    a_wrong_password,
    caps_lock_is_told,
    a_chosen_language_stays,
    the_fragment_survives,
    signing_in_without_script,
    no_one_lands_on_a_favicon,
    a_lost_access_cookie_is_renewed,
    two_tabs_with_forms,
    signing_out,
    a_shop_in_one_page,
    a_session_that_ends_under_a_page,
    a_page_that_another_person_goes_on_with,
    a_script_in_the_page_finds_no_token,
    two_users_one_after_another_in_one_browser,
    one_site_is_not_the_other,
    a_session_at_the_forum,
    what_was_written_is_not_lost,
    a_sign_in_and_a_sign_out_lead_on_to_another_origin,
    what_is_sent_again_leads_on_and_is_sent_once,
    what_was_sent_is_not_offered_again_by_the_back_button,
    a_popup_of_the_site_tells_the_window_that_opened_it,
    a_popup_of_another_origin_is_cut_off,
    back_from_a_second_factor,
    only_an_admin_sees_the_stock,
    an_account_with_a_second_factor,
    a_code_by_mail_without_script,
    our_pages_in_every_size_and_light,
    # Last of those that sign in with it: afterwards it has another password.
    an_account_that_needs_a_new_password,
    the_applications_in_every_size_and_light,
    an_expired_token_is_renewed,
    an_app_lives_through_the_end_of_its_token,
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
