#!/usr/bin/env python3
"""Redmine behind the gateway, in Chromium: redmine.py VESTIBULE_BINARY [SCENARIO...].

Debian's Redmine, with users of its own and puma. `/login` and `/logout` are Redmine's own, so the gateway's paths have
other names. Programs come with an API key of Redmine's. Tokens live for three seconds. Prints `N passed, N failed`.
"""

import json
import os
import secrets
import shutil

from deployment import (
    ADA, GRACE, HERE, PASSWORD, fills_in, free_port, get, kept, loses_the_session, main, path_of, signs_in, until,
)

SOURCE = "/usr/share/redmine"
SITE = """paths = { login = "/sign-in", logout = "/sign-out", api = false }
landing = "/my/page"
forget = ["Redmine", "_redmine_session", "autologin"]
sign_out_paths = ["/logout"]

[[sites.rules]]
path = "/*"
header = "X-Redmine-API-Key"
access = "public"
"""
DATABASE = """production:
  adapter: sqlite3
  database: {directory}/data.sqlite3
"""


def prepare(deployment):
    folder = deployment.directory / "redmine"
    # With the files behind its links; the instance of the machine stays where it is.
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("instances", "database.yml"), ignore_dangling_symlinks=True)
    instance = folder / "instances" / "default"
    for name in ("config", "files", "log", "tmp", "public"):
        (instance / name).mkdir(parents=True)
    (folder / "Gemfile.local").write_text('gem "puma"\n')
    for config in (folder / "config", instance / "config"):
        (config / "database.yml").write_text(DATABASE.format(directory=deployment.directory))
    (instance / "config" / "secret_key.txt").write_text(secrets.token_hex(64))
    environment = {**os.environ, "RAILS_ENV": "production", "HOME": str(deployment.directory), "PASSWORD": PASSWORD}
    environment.pop("REDMINE_INSTANCE", None)
    with_database(deployment, folder, environment)
    port = free_port()
    deployment.serve("bundle", "exec", "puma", "-b", f"tcp://127.0.0.1:{port}", "-t", "1:4", port=port, cwd=folder, env=environment)
    deployment.guard(port, SITE)


def with_database(deployment, folder, environment):
    """Migrations take longer than all else: their result is kept for this version of Redmine and this seed."""
    seed = HERE / "redmine_seed.rb"
    made_of = (folder / "lib" / "redmine" / "version.rb").read_text() + seed.read_text() + PASSWORD
    ready = kept("applications/redmine")
    if not (ready / "made-of").exists() or (ready / "made-of").read_text() != made_of:
        deployment.run("bundle", "exec", "rake", "db:migrate", cwd=folder, env=environment)
        said = deployment.run("bundle", "exec", "ruby", "bin/rails", "runner", seed, cwd=folder, env=environment)
        (ready / "api-key").write_text(said.split()[-1])
        shutil.copy(deployment.directory / "data.sqlite3", ready)
        (ready / "made-of").write_text(made_of)
    shutil.copy(ready / "data.sqlite3", deployment.directory)
    deployment.api_key = (ready / "api-key").read_text()


def signs_in_at_redmine(browser, deployment, user):
    browser.goto(deployment.site + "/login")
    browser.type("#username", user)
    browser.type("#password", PASSWORD)
    browser.leave("#login-submit")
    until(lambda: shown(browser) == user, what="the name of the user at Redmine")


def shown(browser):
    """Whom Redmine shows as logged in."""
    return browser.text("#loggedas a") if browser.has("#loggedas a") else None


def an_issue_past_expiry(browser, deployment):
    browser.size(1280)
    signs_in(browser, deployment, ADA, "/login")
    signs_in_at_redmine(browser, deployment, "ada")
    browser.goto(deployment.site + "/projects/porch/issues/new")
    browser.type("#issue_subject", "The lantern is dark")
    before = deployment.tokens_end(browser)
    browser.leave("#issue-form input[name=commit]")
    until(lambda: path_of(browser).startswith("/issues/"), what="the issue")
    assert "The lantern is dark" in browser.text() and deployment.renewals() > before
    deployment.tokens_end(browser)
    browser.goto(deployment.site + "/projects/porch/issues")
    assert "The lantern is dark" in browser.text()


def a_program_with_an_api_key(deployment):
    """The gateway lets it pass by a rule with `header`, and Redmine checks the key."""
    status, _, said = get(deployment, "/users/current.json", X_Redmine_API_Key=deployment.api_key)
    assert status == 200 and json.loads(said)["user"]["login"] == "ada", said
    made = json.dumps({"issue": {"project_id": "porch", "subject": "By a program"}})
    fields = {"X_Redmine_API_Key": deployment.api_key, "Content_Type": "application/json"}
    status, _, said = get(deployment, "/issues.json", "POST", made, **fields)
    assert status == 201 and json.loads(said)["issue"]["author"]["name"] == "Ada Porch", (status, said)
    status, fields, said = get(deployment, "/users/current.json", X_Redmine_API_Key="wrong")
    assert status == 401 and "problem+json" not in fields.get("Content-Type", ""), "the gateway answers for Redmine"
    status, _, said = get(deployment, "/users/current.json")
    assert status == 401 and json.loads(said)["code"] == "signed_out", (status, said)


def two_people_one_after_another(browser, deployment):
    browser.size(1280)

    def by_the_gateway():
        browser.goto(deployment.site + "/sign-out")
        browser.leave("button[type=submit]")

    for leaves in (by_the_gateway, lambda: loses_the_session(browser)):
        signs_in(browser, deployment, ADA, "/login")
        signs_in_at_redmine(browser, deployment, "ada")
        leaves()
        signs_in(browser, deployment, GRACE, "/projects/porch/issues")
        assert shown(browser) is None, "Redmine still shows who was there before"
        signs_in_at_redmine(browser, deployment, "grace")
        by_the_gateway()


def its_own_link_signs_out(browser, deployment):
    browser.size(1280)
    signs_in(browser, deployment, ADA, "/login")
    signs_in_at_redmine(browser, deployment, "ada")
    browser.leave("a.logout")
    browser.goto(deployment.site + "/my/page")
    fills_in(browser, ADA)
    until(lambda: path_of(browser).startswith("/login"), what="the form of Redmine, whose session has ended too")


if __name__ == "__main__":
    main("Redmine", prepare, [
        an_issue_past_expiry, a_program_with_an_api_key, two_people_one_after_another, its_own_link_signs_out,
    ])
