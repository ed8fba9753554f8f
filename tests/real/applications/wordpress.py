#!/usr/bin/env python3
"""Debian's WordPress behind the gateway, with nginx, php-fpm and MariaDB, in Chromium: wordpress.py VESTIBULE_BINARY
[SCENARIO...].

A plugin signs in whoever a header names, with WordPress's own cookies, which WordPress then believes whatever the header
says: the gateway ends them with their visitor (`forget`). Tokens live for three seconds. Prints `N passed, N failed`.
"""

import base64
import json
import shutil

from deployment import (
    ADA, GRACE, HERE, fills_in, get, loses_the_session, main, path_of, signs_in, signs_out, until,
)
from webservers import mariadb, nginx, php

SITE = """headers = "remote-user"
default_access = "optional"
forget = ["wordpress_*", "wp-settings-*"]
sign_out_paths = ["/wp-login.php?action=logout"]

[[sites.rules]]
path = "/wp-includes/*"
access = "public"

[[sites.rules]]
path = "/wp-content/*"
access = "public"

[[sites.rules]]
path = "/wp-admin/*"
access = "required"
"""
LOCATION = """
    root {directory}/wordpress;
    index index.php;
    client_max_body_size 64m;
    location / {{ try_files $uri $uri/ /index.php?$args; }}
    location ~ \\.php$ {{
        include /etc/nginx/fastcgi.conf;
        fastcgi_param HTTP_HOST $http_host;
        fastcgi_read_timeout 120s;
        fastcgi_pass unix:{directory}/php;
    }}
"""
SETTINGS = """<?php
define('DB_NAME', 'data');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:{directory}/mariadb');
define('DB_CHARSET', 'utf8mb4');
define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST']);
define('WP_SITEURL', WP_HOME);
foreach (['AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT', 'LOGGED_IN_SALT',
          'NONCE_SALT'] as $name) define($name, "a key for tests $name");
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('WP_ENVIRONMENT_TYPE', 'local');
$table_prefix = 'wp_';
define('ABSPATH', __DIR__ . '/');
require ABSPATH . 'wp-settings.php';
"""
INSTALL = """<?php
$_SERVER['HTTP_HOST'] = 'localhost';
define('WP_INSTALLING', true);
require '{directory}/wordpress/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('Porch', 'grace', 'grace@example.com', true, '', 'not to be guessed');
update_option('permalink_structure', '/%postname%/');
wp_insert_user(['user_login' => 'ada', 'user_email' => 'ada@example.com', 'user_pass' => 'nor this', 'role' => 'author']);
echo WP_Application_Passwords::create_new_application_password(get_user_by('login', 'ada')->ID, ['name' => 'a program'])[0];
foreach (['grace', 'ada'] as $name)
    update_user_meta(get_user_by('login', $name)->ID, 'wp_persisted_preferences',
        ['core/edit-post' => ['welcomeGuide' => false], 'core/edit-site' => ['welcomeGuide' => false]]);
"""
# The editor's own functions, called as its buttons do.
PUBLISHES = """const [title, done] = arguments, editor = wp.data.dispatch('core/editor');
editor.editPost({title, content: '<!-- wp:paragraph --><p>Two lanterns.</p><!-- /wp:paragraph -->', status: 'publish'});
editor.savePost().then(() => done(wp.data.select('core/editor').didPostSaveRequestSucceed()));"""
UPLOADS = """const done = arguments[0], body = new FormData();
const canvas = document.createElement('canvas');
canvas.toBlob(picture => {
    body.append('file', picture, 'lantern.png');
    wp.apiFetch({path: '/wp/v2/media', method: 'POST', body}).then(made => done(made.source_url), error => done(error));
});"""


def prepare(deployment):
    folder = deployment.directory / "wordpress"
    shutil.copytree("/usr/share/wordpress", folder, symlinks=False, ignore_dangling_symlinks=True,
                    ignore=shutil.ignore_patterns(".htaccess", "wp-config.php"))
    (folder / "wp-config.php").write_text(SETTINGS.format(directory=deployment.directory))
    plugins = folder / "wp-content" / "mu-plugins"
    plugins.mkdir()
    shutil.copy(HERE / "wordpress_remote_user.php", plugins)
    mariadb(deployment)
    (deployment.directory / "install.php").write_text(INSTALL.format(directory=deployment.directory))
    deployment.password_of_a_program = deployment.run("php", deployment.directory / "install.php").split()[-1]
    php(deployment)
    deployment.guard(nginx(deployment, LOCATION.format(directory=deployment.directory)), SITE)


def shown(browser):
    """Whose name the bar at the top shows."""
    return browser.text("#wp-admin-bar-my-account .display-name") if browser.has("#wp-admin-bar-my-account") else None


def a_post_and_a_picture_past_expiry(browser, deployment):
    browser.size(1280)
    signs_in(browser, deployment, ADA, "/wp-admin/post-new.php")
    until(lambda: browser.script("return !!(window.wp && wp.data && wp.data.select('core/editor').getCurrentPostId())"), 30,
          "the editor")
    before = deployment.tokens_end(browser)
    assert browser.later(PUBLISHES, "Lanterns past expiry") is True
    deployment.tokens_end(browser)
    picture = browser.later(UPLOADS)
    assert isinstance(picture, str) and picture.endswith(".png"), picture
    assert deployment.renewals() > before
    browser.goto(deployment.site + "/")
    assert "Lanterns past expiry" in browser.text()


def an_application_password_of_wordpress_passes(deployment):
    """The site takes no Basic credentials itself, so they are WordPress's."""
    account = base64.b64encode(f"ada:{deployment.password_of_a_program}".encode()).decode()
    status, _, said = get(deployment, "/wp-json/wp/v2/users/me", Authorization=f"Basic {account}")
    assert status == 200 and json.loads(said)["name"] == "ada", said
    wrong = base64.b64encode(b"ada:wrong").decode()
    assert get(deployment, "/wp-json/wp/v2/users/me", Authorization=f"Basic {wrong}")[0] == 401


def the_site_editor_opens(browser, deployment):
    """It asks for `/wp-json/wp/v2/templates/twentytwentythree//home`."""
    browser.size(1280)
    browser.goto(deployment.site + "/wp-admin/site-editor.php")
    fills_in(browser, GRACE)
    until(lambda: path_of(browser).startswith("/wp-admin/site-editor.php"), what="the editor after signing in")
    asks = "wp.apiFetch({path: arguments[0]}).then(found => arguments[1](found.id), error => arguments[1](error))"
    until(lambda: browser.script("return !!(window.wp && wp.apiFetch)"), 30, "its scripts")
    assert browser.later(asks, "/wp/v2/templates/twentytwentythree//home") == "twentytwentythree//home"
    asked = "return performance.getEntriesByType('resource').map(entry => new URL(entry.name).pathname)"
    assert "/wp-json/wp/v2/templates/twentytwentythree//home" in browser.script(asked)
    until(lambda: browser.has("iframe[name=editor-canvas]"), 30, "the canvas of the editor")
    browser.command("POST", "/frame", {"id": 0})
    until(lambda: browser.has(".wp-block-site-title"), 30, "the blocks of the page")
    browser.command("POST", "/frame", {"id": None})


def two_people_one_after_another(browser, deployment):
    """WordPress believes its own cookies: without `forget` the second would get the pages of the first."""
    browser.size(1280)
    for leaves in (lambda: signs_out(browser, deployment), lambda: loses_the_session(browser)):
        signs_in(browser, deployment, GRACE, "/wp-admin/users.php")
        assert shown(browser) == "grace"
        leaves()
        signs_in(browser, deployment, ADA, "/wp-admin/profile.php")
        assert shown(browser) == "ada"
        browser.goto(deployment.site + "/wp-admin/users.php")
        assert "Sorry, you are not allowed" in browser.text(), "the second got the pages of the first"
        signs_out(browser, deployment)
        browser.goto(deployment.site + "/")
        assert shown(browser) is None, "WordPress still shows who has left"


def its_own_link_signs_out(browser, deployment):
    browser.size(1280)
    signs_in(browser, deployment, ADA, "/wp-admin/profile.php")
    browser.goto(browser.script("return document.querySelector('#wp-admin-bar-logout a').href"))
    browser.goto(deployment.site + "/wp-admin/profile.php")
    until(lambda: browser.has("#loginId"), what="the sign-in form")


if __name__ == "__main__":
    main("WordPress", prepare, [
        a_post_and_a_picture_past_expiry, an_application_password_of_wordpress_passes, the_site_editor_opens,
        two_people_one_after_another, its_own_link_signs_out,
    ])
