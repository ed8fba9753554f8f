"""Packages from npm, exactly those of a lock file, beside the target directory."""

import shutil
import subprocess
import sys
from pathlib import Path

from installed import OFFLINE, kept

HERE = Path(__file__).resolve().parent
OLDEST_NODE = [20, 19]


def run(folder, *command):
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def install(source, what):
    """A copy of `tests/real/SOURCE` with its packages; ends the program with 77, saying why, where they cannot be had."""

    def skip(why):
        print(f"skipped: {what}: {why}")
        sys.exit(77)

    folder = kept(source.replace("_", "-"))
    for file in (HERE / source).iterdir():
        if file.is_file():
            shutil.copy(file, folder / file.name)
    try:
        version = run(folder, "node", "--version").stdout.strip()
        if [int(part) for part in version.lstrip("v").split(".")] < OLDEST_NODE:
            skip(f"Node {version} is older than {'.'.join(map(str, OLDEST_NODE))}")
        installed = run(folder, "npm", "ci", "--ignore-scripts", "--prefer-offline", "--fetch-retries=1")
    except (subprocess.SubprocessError, OSError) as error:
        skip(f"it cannot be installed: {error}")
    if installed.returncode:
        said = installed.stderr.strip()
        if OFFLINE.search(said):
            skip(f"npm cannot reach its registry: {said.splitlines()[0]}")
        raise SystemExit(f"npm ci failed:\n{said}")
    return folder
