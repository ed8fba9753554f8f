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

from house import ADA, PASSWORD, free_port, from_pypi, main

SITE = """headers = "remote-user"
basic = true

[[sites.rules]]
path = "/"
methods = ["POST"]
access = "required"
roles = ["admin"]
"""


def prepare(house):
    house.programs = from_pypi("pypiserver")
    (house.directory / "packages").mkdir()
    port = free_port()
    house.serve(
        house.programs / "pypi-server", "run", "-i", "127.0.0.1", "-p", port, "-a", ".", "-P", ".", "--disable-fallback",
        house.directory / "packages", port=port,
    )
    house.guard(port, SITE)
    # What the machine tells its own pip is not for this one.
    house.environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "TWINE_"))}
    house.environment |= {"HOME": str(house.directory), "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def wheel(house, version):
    """A package of one line."""
    path = house.directory / f"lantern-{version}-py3-none-any.whl"
    kept = f"lantern-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lantern.py", f'VERSION = "{version}"\n')
        archive.writestr(f"{kept}/METADATA", f"Metadata-Version: 2.1\nName: lantern\nVersion: {version}\n")
        archive.writestr(f"{kept}/WHEEL", "Wheel-Version: 1.0\nGenerator: house\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{kept}/RECORD", f"lantern.py,,\n{kept}/METADATA,,\n{kept}/WHEEL,,\n{kept}/RECORD,,\n")
    return path


def twine(house, user, file, password=PASSWORD):
    command = [house.programs / "twine", "upload", "--non-interactive", "--disable-progress-bar"]
    command += ["--repository-url", house.site + "/", "-u", user, "-p", password, file]
    ran = subprocess.run(command, cwd=house.directory, env=house.environment, capture_output=True, text=True, timeout=60)
    return ran.returncode, ran.stdout + ran.stderr


def pip(house, user, *arguments, password=PASSWORD):
    index = f"http://{quote(user, safe='')}:{quote(password, safe='')}@localhost:{house.gateway.port}/simple/"
    command = [house.programs / "python", "-m", "pip", *arguments, "--no-input", "--no-cache-dir", "--index-url", index]
    ran = subprocess.run(command, cwd=house.directory, env=house.environment, capture_output=True, text=True, timeout=60)
    return ran.returncode, ran.stdout + ran.stderr


def an_upload_and_an_installation_past_expiry(house):
    status, said = twine(house, "grace", wheel(house, "1.0"))
    assert status == 0, said
    for user in (ADA, "ada"):
        status, said = pip(house, user, "install", "--target", house.directory / f"of-{user}", "lantern==1.0")
        assert status == 0, said
        assert (house.directory / f"of-{user}" / "lantern.py").read_text() == 'VERSION = "1.0"\n'
    time.sleep(house.lifetime)
    status, said = twine(house, "grace", wheel(house, "1.1"))
    assert status == 0, said
    status, said = pip(house, "ada", "download", "--dest", house.directory / "fetched", "lantern")
    assert status == 0 and (house.directory / "fetched" / "lantern-1.1-py3-none-any.whl").exists(), said


def only_a_role_uploads(house):
    status, said = twine(house, "ada", wheel(house, "6.6"))
    assert status != 0 and "403" in said, said
    assert not list((house.directory / "packages").glob("lantern-6.6*"))


def a_wrong_password_says_so_at_once(house):
    started = time.monotonic()
    status, said = pip(house, "ada", "download", "--dest", house.directory / "none", "lantern", password="wrong")
    assert status != 0 and "401" in said, said
    status, said = twine(house, "grace", wheel(house, "6.7"), password="wrong")
    assert status != 0 and "401" in said, said
    assert time.monotonic() - started < 30


if __name__ == "__main__":
    main("a package index (pypiserver)", prepare, [
        an_upload_and_an_installation_past_expiry, only_a_role_uploads, a_wrong_password_says_so_at_once,
    ])
