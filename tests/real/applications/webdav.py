"""Debian's `cadaver`, a WebDAV program."""

import subprocess

from deployment import PASSWORD


def cadaver(deployment, path, commands, user="ada", password=PASSWORD):
    """What `cadaver` says to these commands; it reads the password from where all such programs do."""
    (deployment.directory / ".netrc").write_text(f"machine localhost login {user} password {password}\n")
    command = ["cadaver", deployment.site + path]
    ran = subprocess.run(
        command, input="\n".join([*commands, "quit", ""]), cwd=deployment.directory, capture_output=True, text=True, timeout=60,
        env={"HOME": str(deployment.directory), "PATH": "/usr/bin:/bin"},
    )
    return ran.stdout + ran.stderr
