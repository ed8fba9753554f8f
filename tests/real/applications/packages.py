#!/usr/bin/env python3
"""pypiserver behind the gateway, with pip and twine: packages.py VESTIBULE_BINARY [SCENARIO...].

pip and twine come with a user and a password (`basic = true`). pypiserver has no users: who may upload says a role.
Tokens live for three seconds. Prints `N passed, N failed`.
"""

import os
import subprocess
import time
import zipfile
from urllib.parse import quote

from deployment import ADA, PASSWORD, free_port, from_pypi, main

SITE = """headers = "remote-user"
basic = true

[[sites.rules]]
path = "/"
methods = ["POST"]
access = "required"
roles = ["admin"]
"""


def prepare(deployment):
    deployment.programs = from_pypi("pypiserver")
    (deployment.directory / "packages").mkdir()
    port = free_port()
    deployment.serve(
        deployment.programs / "pypi-server", "run", "-i", "127.0.0.1", "-p", port, "-a", ".", "-P", ".", "--disable-fallback",
        deployment.directory / "packages", port=port,
    )
    deployment.guard(port, SITE)
    # What the machine tells its own pip is not for this one.
    deployment.environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "TWINE_"))}
    deployment.environment |= {"HOME": str(deployment.directory), "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def wheel(deployment, version):
    """A package of one line."""
    path = deployment.directory / f"lantern-{version}-py3-none-any.whl"
    kept = f"lantern-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lantern.py", f'VERSION = "{version}"\n')
        archive.writestr(f"{kept}/METADATA", f"Metadata-Version: 2.1\nName: lantern\nVersion: {version}\n")
        archive.writestr(f"{kept}/WHEEL", "Wheel-Version: 1.0\nGenerator: deployment\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{kept}/RECORD", f"lantern.py,,\n{kept}/METADATA,,\n{kept}/WHEEL,,\n{kept}/RECORD,,\n")
    return path


def twine(deployment, user, file, password=PASSWORD):
    command = [deployment.programs / "twine", "upload", "--non-interactive", "--disable-progress-bar"]
    command += ["--repository-url", deployment.site + "/", "-u", user, "-p", password, file]
    ran = subprocess.run(command, cwd=deployment.directory, env=deployment.environment, capture_output=True, text=True, timeout=60)
    return ran.returncode, ran.stdout + ran.stderr


def pip(deployment, user, *arguments, password=PASSWORD):
    index = f"http://{quote(user, safe='')}:{quote(password, safe='')}@localhost:{deployment.gateway.port}/simple/"
    command = [deployment.programs / "python", "-m", "pip", *arguments, "--no-input", "--no-cache-dir", "--index-url", index]
    ran = subprocess.run(command, cwd=deployment.directory, env=deployment.environment, capture_output=True, text=True, timeout=60)
    return ran.returncode, ran.stdout + ran.stderr


def an_upload_and_an_installation_past_expiry(deployment):
    status, said = twine(deployment, "grace", wheel(deployment, "1.0"))
    assert status == 0, said
    for user in (ADA, "ada"):
        status, said = pip(deployment, user, "install", "--target", deployment.directory / f"of-{user}", "lantern==1.0")
        assert status == 0, said
        assert (deployment.directory / f"of-{user}" / "lantern.py").read_text() == 'VERSION = "1.0"\n'
    time.sleep(deployment.lifetime)
    status, said = twine(deployment, "grace", wheel(deployment, "1.1"))
    assert status == 0, said
    status, said = pip(deployment, "ada", "download", "--dest", deployment.directory / "fetched", "lantern")
    assert status == 0 and (deployment.directory / "fetched" / "lantern-1.1-py3-none-any.whl").exists(), said


def only_a_role_uploads(deployment):
    status, said = twine(deployment, "ada", wheel(deployment, "6.6"))
    assert status != 0 and "403" in said, said
    assert not list((deployment.directory / "packages").glob("lantern-6.6*"))


def a_wrong_password_says_so_at_once(deployment):
    started = time.monotonic()
    # Some versions of pip name the status only with `-vv`.
    command = ["download", "-vv", "--dest", deployment.directory / "none", "lantern"]
    status, said = pip(deployment, "ada", *command, password="wrong")
    assert status != 0 and "401" in said, said
    status, said = twine(deployment, "grace", wheel(deployment, "6.7"), password="wrong")
    assert status != 0 and "401" in said, said
    assert time.monotonic() - started < 30


if __name__ == "__main__":
    main("a package index (pypiserver)", prepare, [
        an_upload_and_an_installation_past_expiry, only_a_role_uploads, a_wrong_password_says_so_at_once,
    ])
