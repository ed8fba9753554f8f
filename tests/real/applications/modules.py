#!/usr/bin/env python3
"""verdaccio behind the gateway, with npm and a scoped package: modules.py VESTIBULE_BINARY [SCENARIO...].

npm asks for a scoped package with an encoded slash (`encoded_slashes = "pass"`) and comes with a user and a password
(`basic = true`), a service token, or a token that verdaccio itself has given it. Access tokens live for three seconds.
Prints `N passed, N failed`.
"""

import base64
import json
import os
import subprocess
import time

from deployment import GRACE, PASSWORD, free_port, from_npm, get, main

SITE = """encoded_slashes = "pass"
bearer = true
basic = true

[[sites.tokens]]
name = "ci"
sha256 = "{hash}"
expires = 2099-12-31

# Packages for the users that verdaccio has itself: it looks at their tokens.
[[sites.rules]]
path = "/-/user/*"
access = "optional"

[[sites.rules]]
path = "/@own*"
access = "optional"

[[sites.rules]]
path = "/@own/*"
access = "optional"
"""
VERDACCIO = """storage: {directory}/storage
auth:
  htpasswd:
    file: {directory}/htpasswd
packages:
  '@own/*':
    access: $authenticated
    publish: $authenticated
  '**':
    access: $all
    publish: $all
log: {{ type: stdout, format: pretty, level: warn }}
"""


def prepare(deployment):
    programs = from_npm("verdaccio") / "node_modules" / ".bin"
    (deployment.directory / "verdaccio.yaml").write_text(VERDACCIO.format(directory=deployment.directory))
    port = free_port()
    deployment.serve(
        programs / "verdaccio", "--config", deployment.directory / "verdaccio.yaml", "--listen", f"127.0.0.1:{port}", port=port
    )
    said = deployment.run(deployment.binary, "tokens", "new", "--name", "ci")
    deployment.token = said.split()[0]
    hashed = next(line.split('"')[1] for line in said.splitlines() if "sha256" in line)
    deployment.guard(port, SITE.format(hash=hashed))


def npm(deployment, line, *arguments, cwd=None):
    """Status and output of npm, with this line about the registry in its configuration."""
    (deployment.directory / ".npmrc").write_text(f"{line}\n")
    environment = {
        "HOME": str(deployment.directory), "PATH": os.environ["PATH"], "npm_config_registry": deployment.site + "/",
        "npm_config_cache": str(deployment.directory / "cache"), "npm_config_fetch_retries": "0",
        "npm_config_update_notifier": "false", "npm_config_audit": "false", "npm_config_fund": "false",
    }
    ran = subprocess.run(["npm", *arguments], cwd=cwd or deployment.directory, env=environment, capture_output=True, text=True,
                         timeout=120)
    return ran.returncode, ran.stdout + ran.stderr


def basic(deployment, user, password=PASSWORD):
    account = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"//localhost:{deployment.gateway.port}/:_auth={account}"


def package(deployment, name, version):
    folder = deployment.directory / f"{name.replace('/', '-')}-{version}"
    folder.mkdir()
    (folder / "package.json").write_text(json.dumps({"name": name, "version": version, "main": "index.js"}))
    (folder / "index.js").write_text("module.exports = 'lantern';\n")
    return folder


def a_scoped_package_is_published_and_installed_past_expiry(deployment):
    grace = basic(deployment, GRACE)
    status, said = npm(deployment, grace, "publish", cwd=package(deployment, "@porch/lantern", "1.0.0"))
    assert status == 0, said
    time.sleep(deployment.lifetime)
    target = deployment.directory / "user"
    target.mkdir()
    status, said = npm(deployment, basic(deployment, "ada"), "install", "--prefix", str(target), "@porch/lantern@1.0.0")
    assert status == 0, said
    assert "lantern" in (target / "node_modules" / "@porch" / "lantern" / "index.js").read_text()


def a_wrong_password_says_so_at_once(deployment):
    started = time.monotonic()
    status, said = npm(deployment, basic(deployment, "ada", "wrong"), "view", "@porch/lantern")
    assert status != 0 and "E401" in said, said
    assert time.monotonic() - started < 20


def a_service_token_is_npms_token(deployment):
    """After the scenario that publishes."""
    token = f"//localhost:{deployment.gateway.port}/:_authToken={deployment.token}"
    status, said = npm(deployment, token, "view", "@porch/lantern", "version")
    assert status == 0 and "1.0.0" in said, said
    status, said = npm(deployment, token + "x", "view", "@porch/lantern", "version")
    assert status != 0 and "E401" in said, said


def a_token_of_the_registry_itself_passes(deployment):
    account = json.dumps({"name": "keeper", "password": "of the registry", "type": "user"})
    status, _, said = get(deployment, "/-/user/org.couchdb.user:keeper", "PUT", account, Content_Type="application/json")
    assert status == 201, said
    token = f"//localhost:{deployment.gateway.port}/:_authToken={json.loads(said)['token']}"
    status, said = npm(deployment, token, "publish", cwd=package(deployment, "@own/lantern", "1.0.0"))
    assert status == 0, said
    target = deployment.directory / "own"
    target.mkdir()
    status, said = npm(deployment, token, "install", "--prefix", str(target), "@own/lantern@1.0.0")
    assert status == 0 and (target / "node_modules" / "@own" / "lantern" / "index.js").exists(), said
    status, said = npm(deployment, "", "view", "@own/lantern")
    assert status != 0 and ("E401" in said or "E403" in said), said


if __name__ == "__main__":
    main("a package registry (verdaccio)", prepare, [
        a_scoped_package_is_published_and_installed_past_expiry, a_wrong_password_says_so_at_once,
        a_service_token_is_npms_token, a_token_of_the_registry_itself_passes,
    ])
