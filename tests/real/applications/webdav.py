"""Debian's `cadaver`, a WebDAV program."""

import subprocess

from house import PASSWORD


def cadaver(house, path, commands, user="ada", password=PASSWORD):
    """What `cadaver` says to these commands; it reads the password from where all such programs do."""
    (house.directory / ".netrc").write_text(f"machine localhost login {user} password {password}\n")
    command = ["cadaver", house.site + path]
    ran = subprocess.run(
        command, input="\n".join([*commands, "quit", ""]), cwd=house.directory, capture_output=True, text=True, timeout=60,
        env={"HOME": str(house.directory), "PATH": "/usr/bin:/bin"},
    )
    return ran.stdout + ran.stderr
