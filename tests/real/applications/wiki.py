#!/usr/bin/env python3
"""Debian's MediaWiki behind the gateway, with nginx and php-fpm, in Chromium: wiki.py VESTIBULE_BINARY [SCENARIO...].

The wiki knows its users by a header. Everybody reads (`optional`), and titles are spelled as titles are. Tokens live for
three seconds. Prints `N passed, N failed`.
"""

import base64
import os

from deployment import ADA, GRACE, HERE, fills_in, get, loses_the_session, main, sends_again, signs_in, signs_out, until
from webservers import nginx, php

SITE = """headers = "remote-user"
default_access = "optional"
encoded_slashes = "pass"
forget = ["*_remote_user_session"]

[[sites.rules]]
path = "/index.php"
methods = ["POST"]
access = "required"

[[sites.rules]]
path = "/wiki/Special:Upload"
access = "required"

[[sites.rules]]
path = "/wiki/Special:Preferences"
access = "required"
"""
LOCATION = """
    root /usr/share/mediawiki;
    index index.php;
    client_max_body_size 64m;
    location /images/ {{ alias {directory}/images/; }}
    location /wiki/ {{
        include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME /usr/share/mediawiki/index.php;
        fastcgi_param HTTP_HOST $http_host;
        fastcgi_param MW_CONFIG_FILE {settings};
        fastcgi_param DATA {directory};
        fastcgi_pass unix:{directory}/php;
    }}
    location = / {{ return 302 /wiki/Main_Page; }}
    location ~ \\.php$ {{
        include /etc/nginx/fastcgi.conf;
        fastcgi_param HTTP_HOST $http_host;
        fastcgi_param MW_CONFIG_FILE {settings};
        fastcgi_param DATA {directory};
        fastcgi_pass unix:{directory}/php;
    }}
"""
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGM4EcAAAAL8ARkDZdqvAAAAAElFTkSuQmCC"
)
# As a browser sends them, and what the wiki calls them.
TITLES = {
    "Zo%C3%AB": "Zoë", "A/B": "A/B", "A%2FB": "A/B", "A//B": "A//B", "100%25": "100%", "AC;DC": "AC;DC", "C%2B%2B": "C++",
    "What%3F": "What?", "%E6%97%A5%E6%9C%AC": "日本", "\"Quoted\"": "\"Quoted\"", "Back%5Cslash": "Back\\slash",
}


def prepare(deployment):
    for name in ("images", "cache"):
        (deployment.directory / name).mkdir()
    settings = HERE / "wiki_settings.php"
    # The installer makes the database and settings of its own, which are not used.
    (deployment.directory / "installed").mkdir()
    environment = {**os.environ, "MW_CONFIG_FILE": str(deployment.directory / "none.php"), "DATA": str(deployment.directory)}
    deployment.run("php", "/usr/share/mediawiki/maintenance/install.php", "--dbtype", "sqlite", "--dbname", "wiki",
              "--dbpath", deployment.directory, "--confpath", deployment.directory / "installed", "--scriptpath", "",
              "--pass", "not to be guessed", "Porch", "Keeper", env=environment)
    php(deployment)
    deployment.guard(nginx(deployment, LOCATION.format(directory=deployment.directory, settings=settings)), SITE)


def shown(browser):
    return browser.text("#pt-userpage") if browser.has("#pt-userpage") else None


def opens_the_editor(browser, deployment, title):
    browser.goto(f"{deployment.site}/index.php?title={title}&action=edit")
    until(lambda: browser.has("#wpTextbox1"), what="the editor")


def writes(browser, text):
    browser.script("document.querySelector('#wpTextbox1').value = arguments[0]", text)
    browser.leave("#wpSave")


def an_edit_past_expiry(browser, deployment):
    signs_in(browser, deployment, ADA, "/wiki/Special:Preferences")
    assert shown(browser) == "Ada"
    opens_the_editor(browser, deployment, "Lanterns")
    before = deployment.tokens_end(browser)
    writes(browser, "Two lanterns, grüße 日本.")
    until(lambda: browser.text("h1") == "Lanterns", what="the page")
    assert "Two lanterns, grüße 日本." in browser.text() and deployment.renewals() > before


def titles_as_they_are_spelled(browser, deployment):
    """They pass, and are the titles that they were."""
    signs_in(browser, deployment, ADA, "/wiki/Special:Preferences")
    for spelled, title in TITLES.items():
        browser.goto(f"{deployment.site}/wiki/{spelled}")
        assert browser.text("h1") == title, (spelled, browser.text("h1"))
    for spelled in ("100%25", "A%2FB", "A//B"):
        opens_the_editor(browser, deployment, spelled)
        writes(browser, "Written.")
        until(lambda: "Written." in browser.text(), what=f"the page {spelled}")
        assert browser.text("h1") == TITLES[spelled]


def an_upload_past_expiry(browser, deployment):
    signs_in(browser, deployment, ADA, "/wiki/Special:Upload")
    picture = deployment.directory / "lantern.png"
    picture.write_bytes(PICTURE)
    browser.type("#wpUploadFile", str(picture))
    before = deployment.tokens_end(browser)
    browser.script("document.querySelector('#wpIgnoreWarning').checked = true")
    browser.leave("[name=wpUpload]")
    until(lambda: browser.text("h1") == "File:Lantern.png", what="the page of the file")
    assert deployment.renewals() > before
    assert get(deployment, "/images/" + next((deployment.directory / "images").glob("?/??/*.png")).relative_to(
        deployment.directory / "images").as_posix())[0] == 200


def a_lost_edit_is_carried_through_the_sign_in(browser, deployment):
    signs_in(browser, deployment, ADA, "/wiki/Special:Preferences")
    opens_the_editor(browser, deployment, "Lost")
    loses_the_session(browser)
    writes(browser, "Not lost at all.")
    fills_in(browser, ADA)
    sends_again(browser)
    until(lambda: "Not lost at all." in browser.text(), what="the page")
    assert browser.text("h1") == "Lost"


def two_people_one_after_another(browser, deployment):
    for leaves in (signs_out, lambda browser, deployment: loses_the_session(browser)):
        signs_in(browser, deployment, ADA, "/wiki/Special:Preferences")
        assert shown(browser) == "Ada"
        leaves(browser, deployment)
        browser.goto(deployment.site + "/wiki/Main_Page")
        assert shown(browser) is None, "the wiki still shows who has left"
        signs_in(browser, deployment, GRACE, "/wiki/Special:Preferences")
        assert shown(browser) == "Grace"
        loses_the_session(browser)


if __name__ == "__main__":
    main("a wiki (MediaWiki)", prepare, [
        an_edit_past_expiry, titles_as_they_are_spelled, an_upload_past_expiry, a_lost_edit_is_carried_through_the_sign_in,
        two_people_one_after_another,
    ])
