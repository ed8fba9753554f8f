#!/usr/bin/env python3
"""A Spirit forum behind the gateway, in Chromium: forum.py VESTIBULE_BINARY [SCENARIO...].

The forum is made from its PyPI package and knows its users by Django's `RemoteUserMiddleware`. Its visitors have sessions
(`credential = "session"`), whose tokens live for three seconds. Its pages are `optional`, and what writes is `required`.
Prints `N passed, N failed`.
"""

import base64

from deployment import (
    ADA, GRACE, fills_in, from_pypi, loses_the_session, main, path_of, sends_again, signs_in, signs_out,
    signs_out_in_another_tab, until, with_django, with_gunicorn,
)

SITE = """headers = "remote-user"
credential = "session"
default_access = "optional"
sign_out_paths = ["/user/logout/"]
forget = ["sessionid"]

[[sites.rules]]
path = "/static/*"
access = "public"

[[sites.rules]]
path = "/topic/publish/*"
access = "required"

[[sites.rules]]
path = "/comment/*"
access = "required"

[[sites.rules]]
path = "/user/*"
access = "required"
"""
# A picture of one pixel.
PICTURE = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
TEXT = "Dear porch,\n\n" + "I have two lanterns & a \"basket\" to give away, grüße 日本." * 25
PUBLISH = ".comment__reply__actions__publish"


def prepare(deployment):
    programs = from_pypi("forum")
    deployment.run(programs / "python", programs / "spirit", "startproject", "forum", env={"PATH": str(programs)})
    # The outer directory holds `manage.py` and is no package.
    (deployment.directory / "forum").rename(deployment.directory / "project")
    (deployment.directory / "project" / "forum").rename(deployment.directory / "forum")
    deployment.guard(with_gunicorn(deployment, programs, with_django(deployment, "forum", programs)), SITE)


def writes_a_topic(browser, title, text=TEXT):
    """On the page for it."""
    browser.type("[name=title]", title)
    browser.script("const list = document.querySelector('[name=category]'); list.selectedIndex = list.options.length - 1")
    browser.script("document.querySelector('[name=comment]').value = arguments[0]", text)


def opens_a_topic(browser, deployment, email, title):
    signs_in(browser, deployment, email, "/topic/publish/")
    writes_a_topic(browser, title)
    browser.leave(PUBLISH)
    shows(browser, title)
    return path_of(browser)


def shows(browser, title):
    """Waits for the page of that topic."""
    until(lambda: browser.text(".headline").startswith(title), what=f"the topic {title}")
    until(lambda: browser.script("return document.readyState") == "complete", what="its scripts")


def comments(browser):
    return browser.script("return [...document.querySelectorAll('.comment__text')].map(c => c.innerText.trim())")


def writes_a_reply(browser, text):
    """Into the editor, which keeps a draft of what is typed."""
    browser.script(
        "const box = document.querySelector('.js-reply [name=comment]');"
        "box.value = arguments[0]; box.dispatchEvent(new Event('input'))", text,
    )


def replies(browser, text):
    writes_a_reply(browser, text)
    browser.leave(PUBLISH)


def a_topic_and_a_reply_with_tokens_that_end_underneath(browser, deployment):
    browser.goto(deployment.site + "/")
    assert "Log in" in browser.source()
    signs_in(browser, deployment, ADA, "/topic/publish/")
    before = deployment.tokens_end(browser)
    writes_a_topic(browser, "Two lanterns")
    browser.leave(PUBLISH)
    shows(browser, "Two lanterns")
    assert comments(browser)[0].split() == TEXT.split()
    deployment.tokens_end(browser)
    replies(browser, "Still there?")
    until(lambda: "Still there?" in comments(browser), what="the reply")
    assert deployment.renewals() - before >= 2, "the tokens did not end underneath"
    assert "ada" in browser.text(".comment__info")


def a_picture_is_uploaded_past_expiry(browser, deployment):
    opens_a_topic(browser, deployment, ADA, "A picture")
    before = deployment.tokens_end(browser)
    picture = deployment.directory / "picture.gif"
    picture.write_bytes(PICTURE)
    # The editor's file input is in no document: the driver finds it where it would open the dialog for files.
    browser.script(
        "HTMLInputElement.prototype.click = function () { this.id = 'file-of-the-editor'; document.body.append(this); }"
    )
    browser.click(".js-box-image")
    until(lambda: browser.has("#file-of-the-editor"), what="the editor's file input")
    browser.type("#file-of-the-editor", str(picture))
    written = until(
        lambda: "/media/" in browser.value(".js-reply [name=comment]") and browser.value(".js-reply [name=comment]"),
        what="the address of the picture",
    )
    assert deployment.renewals() > before
    browser.leave(PUBLISH)
    until(lambda: browser.has(".comment__text img"), what="the picture")
    assert browser.script("return document.querySelector('.comment__text img').naturalWidth") == 1, written


def a_lost_reply_is_carried_through_the_sign_in(browser, deployment):
    topic = opens_a_topic(browser, deployment, ADA, "A reply on its way")
    for loses in (signs_out_in_another_tab, loses_the_session):
        browser.goto(deployment.site + topic)
        said = f"Lost by {loses.__name__}. {TEXT}"
        # A sign-out clears the browser's storage, and with it the editor's draft: the reply is written after it.
        loses(browser)
        replies(browser, said)
        until(lambda: browser.has("input[name=unsent]"), what="the form in which the reply waits")
        fills_in(browser, ADA)
        sends_again(browser)
        shows(browser, "A reply on its way")
        shown = [one.split() for one in comments(browser)]
        assert shown.count(said.split()) == 1, browser.text()


def another_person_does_not_reply_what_was_lost(browser, deployment):
    topic = opens_a_topic(browser, deployment, ADA, "Not in my name")
    signs_out_in_another_tab(browser)
    replies(browser, "in my own name")
    fills_in(browser, GRACE)
    until(lambda: browser.has(".written"), what="the page with what was written")
    assert not browser.has("form"), "it can be sent in another's name"
    browser.goto(deployment.site + topic)
    assert "in my own name" not in browser.text()


def two_people_one_after_another(browser, deployment):
    for leaves in (lambda: signs_out(browser, deployment), lambda: loses_the_session(browser)):
        signs_in(browser, deployment, ADA, "/user/")
        assert "ada" in browser.source() and "grace" not in browser.source()
        leaves()
        browser.goto(deployment.site + "/")
        assert "Log in" in browser.source(), "the forum still shows who has left"
        signs_in(browser, deployment, GRACE, "/user/")
        assert "grace" in browser.source() and "ada@" not in browser.source()
        # She goes without a word, and the first comes back.
        loses_the_session(browser)


def the_link_of_the_forum_signs_out(browser, deployment):
    signs_in(browser, deployment, ADA, "/user/")
    browser.script("document.querySelector('a[href*=\"/user/logout/\"]').click()")
    until(lambda: "Log in" in browser.source(), what="a page of somebody who is signed out")
    browser.goto(deployment.site + "/user/")
    until(lambda: browser.has("#loginId"), what="the sign-in form")


if __name__ == "__main__":
    main("a forum (Spirit)", prepare, [
        a_topic_and_a_reply_with_tokens_that_end_underneath, a_picture_is_uploaded_past_expiry,
        a_lost_reply_is_carried_through_the_sign_in, another_person_does_not_reply_what_was_lost,
        two_people_one_after_another, the_link_of_the_forum_signs_out,
    ])
