"""The demo's shop in one page, in Chromium: scenarios that `browser.py` runs."""

import re

from demo import ACCESS, EMAIL, PASSWORD, REFRESH, SUBMIT, fetch_status, fill_in, looks, path_of
from webdriver import until

APP = "/app-demo/"


def cart_is_shown(browser):
    return not browser.has("#door[open]") and browser.has("#shop:not([hidden])") and browser.text("#heading")


def sign_in_at_the_app(browser, site):
    browser.goto(site + APP)
    until(lambda: browser.has("#door[open]"), what="the page's own form")
    fill_in(browser)
    browser.click(SUBMIT)
    until(lambda: cart_is_shown(browser) == "Your cart, shopper", what="the cart")


def calls_of(browser):
    """What the page has asked for, the latest first."""
    return browser.script("return Array.from(document.querySelectorAll('#calls li'), line => line.innerText)")


def a_shop_in_one_page(browser, demo):
    """It asks who is there, shows a form of its own, and never leaves its address."""
    site = demo.sites["store"]
    browser.goto(site + APP)
    until(lambda: browser.has("#door[open]"), what="the page's own form")
    assert calls_of(browser) == ["GET /api/user\n404"], calls_of(browser)
    fill_in(browser, "not the password")
    browser.click(SUBMIT)
    until(lambda: browser.has("#trouble:not([hidden])"), what="a word about what went wrong")
    assert "not right" in browser.text("#trouble")
    assert (browser.value("#loginId"), browser.value("#password")) == (EMAIL, ""), "the name is lost, or the password kept"
    assert ACCESS not in browser.cookies()
    browser.type("#password", PASSWORD)
    browser.click(SUBMIT)
    until(lambda: cart_is_shown(browser) == "Your cart, shopper", what="the cart")
    for name in (ACCESS, REFRESH):
        assert browser.cookies()[name]["httpOnly"] and browser.cookies()[name]["sameSite"] == "Lax", name
    browser.click("#shelf [data-product=night-kettle]")
    until(lambda: "Night Kettle" in browser.text("#lines"), what="a kettle in the cart")
    browser.command("DELETE", f"/cookie/{ACCESS}")
    browser.click("#lines [data-product=night-kettle][data-change=add]")
    until(lambda: browser.text("#lines output") == "2", what="a second kettle, with a lost cookie")
    assert ACCESS in browser.cookies(), "the call was not renewed"
    browser.goto(site + APP)
    until(lambda: cart_is_shown(browser), what="the same cart after a reload")
    assert browser.text("#lines output") == "2"
    browser.click("#leave")
    until(lambda: browser.has("#door[open]"), what="the form after the sign-out")
    assert not {ACCESS, REFRESH} & browser.cookies().keys(), "cookies stayed"
    assert "Kettle" not in browser.text("main"), "the cart stayed on the screen"
    assert (path_of(browser), fetch_status(browser, APP + "data/cart")) == (APP, [401, False])


def a_session_that_ends_under_a_page(browser, demo):
    """A call comes back with 401: the form stands before what was on the screen, and the call is made after it."""
    a_call_meets_the_end(browser, demo.sites["store"])
    looks(browser, "app-ended")
    fill_in(browser)
    browser.click(SUBMIT)
    until(lambda: cart_is_shown(browser) and browser.text("#lines output") == "2", what="the call that was not lost")


def a_page_that_another_person_goes_on_with(browser, demo):
    """What the first wanted is not done in the second's name."""
    a_call_meets_the_end(browser, demo.sites["store"])
    fill_in(browser, email="admin@example.com")
    browser.click(SUBMIT)
    until(lambda: "admin" in browser.text("#heading"), what="the other person's cart")
    changes = [call for call in calls_of(browser) if "POST /app-demo/data/cart" in call]
    assert len(changes) == 2, f"the call was made again: {changes}"


def a_call_meets_the_end(browser, site):
    sign_in_at_the_app(browser, site)
    browser.click("#shelf [data-product=moss-blanket]")
    until(lambda: "Moss Blanket" in browser.text("#lines"), what="a blanket in the cart")
    first = browser.tab()
    browser.new_tab()
    browser.goto(site + "/logout")
    browser.leave(SUBMIT)
    until(lambda: path_of(browser) == "/", what="the sign-out in another tab")
    browser.switch(first)
    browser.click("#lines [data-product=moss-blanket][data-change=add]")
    until(lambda: browser.has("#door:modal"), what="the form before the cart")
    assert "Moss Blanket" in browser.text("#lines"), "what was on the screen is gone"


def an_app_lives_through_the_end_of_its_token(browser, demo):
    sign_in_at_the_app(browser, demo.sites["store"])
    old = browser.cookies()[ACCESS]["value"]
    until(lambda: "has expired" in browser.text("#end"), 75, "the end of the access token")
    browser.click("#shelf [data-product=felt-boots]")
    until(lambda: "Felt Boots" in browser.text("#lines"), what="boots in the cart")
    assert browser.cookies()[ACCESS]["value"] != old, "the token is still the old one"
    assert not browser.has("#door[open]"), "somebody had to sign in again"


def a_script_in_the_page_finds_no_token(browser, demo):
    """Whatever was put into the page: it can act while it runs, and it takes nothing along."""
    sign_in_at_the_app(browser, demo.sites["store"])
    browser.command("DELETE", f"/cookie/{ACCESS}")
    found = browser.later("""
        const done = arguments[arguments.length - 1];
        const json = { "Content-Type": "application/json" };
        const post = (path, body) => ({ path, method: "POST", headers: json, body: JSON.stringify(body) });
        const calls = [
            { path: "/app-demo/data/cart" },
            post("/api/login", { loginId: arguments[0], password: arguments[1], tokens: "body" }),
            post("/api/login", { loginId: arguments[0], password: arguments[1] }),
            post("/api/refresh", {}),
            post("/api/refresh", { refreshToken: "guess" }),
            { path: "/api/user" },
            { path: "/api/user", headers: { Authorization: "Bearer guess", "Vestibule-Refresh-Token": "guess" } },
        ];
        (async () => {
            const answers = [];
            for (const { path, ...options } of calls) {
                const answer = await fetch(path, options);
                const fields = [...answer.headers].map(([name, value]) => `${name}: ${value}`);
                answers.push({ path, status: answer.status, seen: [...fields, await answer.text()].join("\\n") });
            }
            const kept = [document.cookie, ...Object.values(localStorage), ...Object.values(sessionStorage)];
            done({ answers, kept: kept.join("") });
        })();
    """, EMAIL, PASSWORD)
    assert found["kept"] == "", "a script finds something that was kept"
    statuses = [(answer["path"], answer["status"]) for answer in found["answers"]]
    assert statuses == [
        (APP + "data/cart", 200), ("/api/login", 403), ("/api/login", 200), ("/api/refresh", 204),
        ("/api/refresh", 403), ("/api/user", 200), ("/api/user", 200),
    ], statuses
    secrets = [cookie["value"] for cookie in browser.cookies().values()]
    for answer in found["answers"]:
        assert not re.search(r"eyJ|refreshToken|vestibule-(access|refresh)-token:|set-cookie", answer["seen"]), answer
        assert not any(secret in answer["seen"] for secret in secrets), answer
