#!/usr/bin/env python3
"""git over HTTP behind the gateway: git_http.py VESTIBULE_BINARY [SCENARIO...].

Repositories are served by nginx, fcgiwrap and `git http-backend`. git knows no form: it comes with a user and a password
(`basic = true`) or a service token. Tokens live for three seconds. Prints `N passed, N failed`.
"""

import base64
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from deployment import ADA, GRACE, PASSWORD, get, main, until
from webservers import nginx

SITE = """headers = "remote-user"
basic = true

[[sites.tokens]]
name = "mirror"
sha256 = "{hash}"
expires = 2099-01-01
"""
LOCATION = """
    client_max_body_size 0;
    location / {{
        # nginx's own list takes REMOTE_USER from Authorization.
        fastcgi_param QUERY_STRING $query_string;
        fastcgi_param REQUEST_METHOD $request_method;
        fastcgi_param CONTENT_TYPE $content_type;
        fastcgi_param CONTENT_LENGTH $content_length;
        fastcgi_param SERVER_PROTOCOL $server_protocol;
        fastcgi_param REMOTE_ADDR $remote_addr;
        fastcgi_param SCRIPT_FILENAME {backend};
        fastcgi_param GIT_HTTP_EXPORT_ALL 1;
        fastcgi_param GIT_PROJECT_ROOT {directory}/repositories;
        fastcgi_param PATH_INFO $uri;
        fastcgi_param REMOTE_USER $http_remote_user;
        fastcgi_read_timeout 120s;
        fastcgi_pass unix:{directory}/fcgi;
    }}
"""
MEGABYTES = 60


def prepare(deployment):
    deployment.repositories = deployment.directory / "repositories"
    deployment.environment = {
        "HOME": str(deployment.directory), "PATH": os.environ["PATH"], "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1",
    }
    git(deployment, "config", "--global", "user.name", "Ada")
    git(deployment, "config", "--global", "user.email", ADA)
    git(deployment, "config", "--global", "init.defaultBranch", "main")
    # What is random does not become smaller.
    git(deployment, "config", "--global", "core.compression", "0")
    git(deployment, "init", "-q", "--bare", deployment.repositories / "porch.git")
    git(deployment, "init", "-q", "first")
    (deployment.directory / "first" / "README").write_text("A porch.\n")
    git(deployment, "-C", "first", "add", ".")
    git(deployment, "-C", "first", "commit", "-q", "-m", "A porch")
    git(deployment, "-C", "first", "push", "-q", deployment.repositories / "porch.git", "main")
    backend = Path(git(deployment, "--exec-path").strip()) / "git-http-backend"
    deployment.serve("fcgiwrap", "-c", "2", "-s", f"unix:{deployment.directory}/fcgi", port=deployment.directory / "fcgi",
                env=deployment.environment)
    location = LOCATION.format(backend=backend, directory=deployment.directory)
    said = deployment.run(deployment.binary, "tokens", "new", "--name", "mirror")
    deployment.token = said.split()[0]
    hashed = next(line.split('"')[1] for line in said.splitlines() if "sha256" in line)
    deployment.guard(nginx(deployment, location), SITE.format(hash=hashed))


def git(deployment, *arguments):
    """The standard output of a git that must succeed."""
    return deployment.run("git", *arguments, env=deployment.environment)


def refused(deployment, *arguments):
    """What a git says that must fail, and within which time."""
    started = time.monotonic()
    command = ["git", *map(str, arguments)]
    ran = subprocess.run(command, cwd=deployment.directory, env=deployment.environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode != 0, f"{command} came in"
    return ran.stderr, time.monotonic() - started


def address(deployment, user="", password=PASSWORD):
    account = f"{quote(user, safe='')}:{quote(password)}@" if user else ""
    return f"http://{account}localhost:{deployment.gateway.port}/porch.git"


def helper(user):
    return f"credential.helper=!f() {{ echo username={user}; echo 'password={PASSWORD}'; }}; f"


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def asks(deployment, user, password=PASSWORD):
    return get(deployment, "/porch.git/info/refs?service=git-upload-pack", Authorization=basic(user, password))


def a_clone_with_user_and_password_in_the_url(deployment):
    for user in (ADA, "ada"):
        shutil.rmtree(deployment.directory / "by-url", ignore_errors=True)
        git(deployment, "clone", "-q", address(deployment, user), "by-url")
        assert (deployment.directory / "by-url" / "README").read_text() == "A porch.\n"


def a_clone_with_a_credential_helper(deployment):
    git(deployment, "-c", helper("ada"), "clone", "-q", address(deployment), "by-helper")
    assert (deployment.directory / "by-helper" / "README").read_text() == "A porch.\n"
    said, _ = refused(deployment, "clone", "-q", address(deployment), "by-nobody")
    assert "could not read Username" in said, said


def a_push_of_60_mib_past_expiry(deployment):
    clone = deployment.directory / "pushed"
    git(deployment, "clone", "-q", address(deployment, "ada"), clone)
    large = secrets.token_bytes(MEGABYTES << 20)
    (clone / "large").write_bytes(large)
    git(deployment, "-C", clone, "add", ".")
    git(deployment, "-C", clone, "commit", "-q", "-m", "Sixty")
    time.sleep(deployment.lifetime)
    git(deployment, "-C", clone, "push", "-q", "origin", "main")
    git(deployment, "-c", helper(GRACE), "clone", "-q", address(deployment), "cloned")
    assert (deployment.directory / "cloned" / "large").read_bytes() == large


def a_service_token_in_a_header(deployment):
    field = f"http.extraHeader=Authorization: Bearer {deployment.token}"
    assert "refs/heads/main" in git(deployment, "-c", field, "ls-remote", address(deployment))
    said, _ = refused(deployment, "-c", field + "x", "ls-remote", address(deployment))
    assert "could not read Username" in said or "Authentication failed" in said, said


def a_wrong_password_says_so_at_once(deployment):
    said, seconds = refused(deployment, "clone", "-q", address(deployment, "ada", "wrong"), "by-mistake")
    assert "Authentication failed" in said and seconds < 5, (said, seconds)
    status, fields, _ = asks(deployment, "ada", "wrong")
    assert status == 401 and fields["WWW-Authenticate"].startswith('Basic realm="site"'), (status, fields.items())


def a_locked_account_is_out_within_one_token_life(deployment):
    git(deployment, "ls-remote", address(deployment, GRACE))
    git(deployment, "ls-remote", address(deployment, ADA))
    deployment.write_users(f"{deployment.lifetime}s", ada="locked")
    deployment.gateway.process.send_signal(signal.SIGHUP)
    until(lambda: asks(deployment, ADA)[0] == 401, deployment.lifetime, "the end of the locked account")
    said, _ = refused(deployment, "ls-remote", address(deployment, ADA))
    assert "Authentication failed" in said, said
    git(deployment, "ls-remote", address(deployment, GRACE))
    deployment.write_users(f"{deployment.lifetime}s")
    deployment.gateway.process.send_signal(signal.SIGHUP)
    # Not by the account: that has used up attempts while it was locked.
    until(lambda: deployment.gateway.metric(("vestibule_config_reloads_total", 'result="ok"')) >= 2, what="the reload")


def a_flood_of_wrong_passwords_is_throttled(deployment):
    """And those who are in stay in."""
    assert asks(deployment, GRACE)[0] == 200
    seen = [asks(deployment, f"nobody-{number}@example.com", "wrong") for number in range(40)]
    statuses = [status for status, _, _ in seen]
    assert statuses[0] == 401 and statuses[-1] == 429, statuses
    assert int(seen[-1][1]["Retry-After"]) > 0
    assert 25 <= statuses.count(401) <= 30, statuses
    before = deployment.gateway.metric(("vestibule_provider_requests_total", 'operation="sign_in"'))
    for number in range(200):
        assert asks(deployment, f"somebody-{number}@example.com", "wrong")[0] == 429
    assert deployment.gateway.metric(("vestibule_provider_requests_total", 'operation="sign_in"')) == before
    assert asks(deployment, GRACE)[0] == 200, "the flood has pushed out who was in"
    time.sleep(deployment.lifetime)
    git(deployment, "ls-remote", address(deployment, GRACE))


if __name__ == "__main__":
    main("git over HTTP", prepare, [
        a_clone_with_user_and_password_in_the_url, a_clone_with_a_credential_helper, a_push_of_60_mib_past_expiry,
        a_service_token_in_a_header, a_wrong_password_says_so_at_once, a_locked_account_is_out_within_one_token_life,
        a_flood_of_wrong_passwords_is_throttled,
    ])
