#!/usr/bin/env python3
"""A django-oscar shop behind the gateway, in Chromium: store.py VESTIBULE_BINARY [SCENARIO...].

The shop is made from its PyPI package and knows its users by Django's `RemoteUserMiddleware`. Its pages are `optional`,
and checkout and account are `required`. Tokens live for three seconds. Prints `N passed, N failed`.
"""

from deployment import (
    ADA, GRACE, SUBMIT, fills_in, from_pypi, loses_the_session, main, path_of, sends_again, signs_in, signs_out,
    signs_out_in_another_tab, until, with_django, with_gunicorn,
)

SITE = """headers = "remote-user"
default_access = "optional"
landing = "/catalogue/"
sign_out_paths = ["/accounts/logout/"]
forget = ["sessionid"]

[[sites.rules]]
path = "/static/*"
access = "public"

[[sites.rules]]
path = "/checkout/*"
access = "required"

[[sites.rules]]
path = "/accounts/*"
access = "required"

[[sites.rules]]
path = "/dashboard/*"
access = "required"
roles = ["admin"]
"""
LANTERN = "/catalogue/lantern_1/"
ADDRESS = {"first_name": "Ada", "last_name": "Lovelace", "line1": "12 Porch Street", "line4": "London", "postcode": "N1 9GU"}


def prepare(deployment):
    programs = from_pypi("shop")
    deployment.guard(with_gunicorn(deployment, programs, with_django(deployment, "shop", programs)), SITE)


def buys(browser, deployment):
    """One lantern into the basket."""
    browser.goto(deployment.site + LANTERN)
    browser.leave("#add_to_basket_form " + SUBMIT)


def in_the_basket(browser, deployment):
    browser.goto(deployment.site + "/basket/")
    return browser.script("return document.querySelectorAll('#basket_formset .basket-items').length")


def orders(browser, deployment):
    browser.goto(deployment.site + "/accounts/orders/")
    return browser.script("return document.querySelectorAll('table a[href*=\"/accounts/orders/\"]').length")


def shown_as_signed_in(browser):
    return browser.has("#logout_link")


def gives_the_address(browser):
    for name, value in ADDRESS.items():
        browser.type(f"#new_shipping_address [name={name}]", value)
    browser.leave("#new_shipping_address " + SUBMIT)
    until(lambda: "/shipping-address" not in path_of(browser), what="the step after the address")


def goes_to_the_order(browser, deployment):
    """From the basket to the page with the button that orders."""
    browser.goto(deployment.site + "/checkout/shipping-address/")
    gives_the_address(browser)
    browser.goto(deployment.site + "/checkout/preview/")
    until(lambda: browser.has("#place-order"), what="the button that orders")


def thanked(browser):
    until(lambda: path_of(browser) == "/checkout/thank-you/", what="the page that thanks")


def an_errand_with_tokens_that_end_underneath(browser, deployment):
    buys(browser, deployment)
    assert not shown_as_signed_in(browser)
    assert in_the_basket(browser, deployment) == 1, "a visitor who is nobody has no basket"
    signs_in(browser, deployment, ADA, "/checkout/shipping-address/")
    before = deployment.tokens_end(browser)
    gives_the_address(browser)
    deployment.tokens_end(browser)
    browser.goto(deployment.site + "/checkout/preview/")
    deployment.tokens_end(browser)
    browser.leave("#place-order")
    thanked(browser)
    assert deployment.renewals() - before >= 3, "the tokens did not end underneath"
    assert "Lantern" in browser.text() and "12 Porch Street" in browser.text()
    deployment.tokens_end(browser)
    assert orders(browser, deployment) == 1
    assert in_the_basket(browser, deployment) == 0


def a_form_left_open_past_expiry(browser, deployment):
    signs_in(browser, deployment, ADA, "/accounts/profile/")
    browser.goto(deployment.site + LANTERN)
    before = deployment.tokens_end(browser)
    browser.leave("#add_to_basket_form " + SUBMIT)
    assert deployment.renewals() > before
    assert shown_as_signed_in(browser), "the shop has signed its customer out"
    assert in_the_basket(browser, deployment) == 1


def a_lost_order_is_carried_through_the_sign_in(browser, deployment):
    signs_in(browser, deployment, GRACE, "/accounts/orders/")
    before = orders(browser, deployment)
    buys(browser, deployment)
    goes_to_the_order(browser, deployment)
    # A sign-out would end the session of the shop too, and the address that it keeps there.
    loses_the_session(browser)
    browser.leave("#place-order")
    until(lambda: browser.has("input[name=unsent]"), what="the form in which the order waits")
    fills_in(browser, GRACE)
    sends_again(browser)
    thanked(browser)
    assert orders(browser, deployment) == before + 1


def another_person_does_not_order_what_was_lost(browser, deployment):
    signs_in(browser, deployment, ADA, "/accounts/orders/")
    before = orders(browser, deployment)
    buys(browser, deployment)
    goes_to_the_order(browser, deployment)
    signs_out_in_another_tab(browser)
    browser.leave("#place-order")
    fills_in(browser, GRACE)
    until(lambda: browser.has(".written"), what="the page with what was written")
    assert not browser.has("form"), "it can be sent in another's name"
    signs_out(browser, deployment)
    signs_in(browser, deployment, ADA, "/accounts/orders/")
    assert orders(browser, deployment) == before
    assert in_the_basket(browser, deployment) == 1, "the basket of its owner is gone"


def two_people_one_after_another(browser, deployment):
    for leaves in (signs_out, lambda browser, deployment: loses_the_session(browser)):
        signs_in(browser, deployment, ADA, "/accounts/profile/")
        assert ADA in browser.text()
        buys(browser, deployment)
        assert in_the_basket(browser, deployment) >= 1
        leaves(browser, deployment)
        browser.goto(deployment.site + "/catalogue/")
        assert not shown_as_signed_in(browser), "the shop still shows who has left"
        signs_in(browser, deployment, GRACE, "/accounts/profile/")
        assert GRACE in browser.text() and ADA not in browser.text()
        assert in_the_basket(browser, deployment) == 0, "the basket of somebody else"
        browser.goto(deployment.site + "/dashboard/")
        assert path_of(browser) == "/dashboard/" and "Dashboard" in browser.title()
        # The second goes without a word, and the first comes back.
        loses_the_session(browser)
        signs_in(browser, deployment, ADA, "/accounts/profile/")
        assert ADA in browser.text() and GRACE not in browser.text()
        browser.goto(deployment.site + "/dashboard/")
        assert "your account has no access to this page" in browser.text()
        signs_out(browser, deployment)


def the_link_of_the_shop_signs_out(browser, deployment):
    signs_in(browser, deployment, ADA, "/accounts/profile/")
    browser.size(1280)
    browser.leave("#logout_link")
    browser.goto(deployment.site + "/accounts/profile/")
    until(lambda: browser.has("#loginId"), what="the sign-in form")


if __name__ == "__main__":
    main("a store (django-oscar)", prepare, [
        an_errand_with_tokens_that_end_underneath, a_form_left_open_past_expiry,
        a_lost_order_is_carried_through_the_sign_in, another_person_does_not_order_what_was_lost,
        two_people_one_after_another, the_link_of_the_shop_signs_out,
    ])
