"""A bare Debian in a container of systemd-nspawn, with a network of its own. Needs root and a Debian mirror."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from installed import target_directory
from webdriver import until

PACKAGES = "systemd,systemd-sysv,dbus,ca-certificates"


def unavailable(why):
    print(f"skipped: {why}")
    sys.exit(77)


class Machine:
    """Boots in `directory`. Files are put into it beneath `root`."""

    def __init__(self, directory, suite="bookworm"):
        if os.geteuid() != 0:
            unavailable("needs root, to boot a container")
        self.root = Path(directory) / "machine"
        base = target_directory() / f"debian-{suite}.tar"
        if not base.exists():
            made = subprocess.run(
                ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", suite, str(base)],
                capture_output=True, text=True,
            )
            if made.returncode != 0:
                base.unlink(missing_ok=True)
                unavailable(f"no Debian {suite} can be made: {made.stderr.strip()[-300:]}")
        self.root.mkdir()
        with tarfile.open(base) as archive:
            archive.extractall(self.root, numeric_owner=True)
        self.log = open(Path(directory) / "machine.log", "w")
        self.process = subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", str(self.root), "--private-network", "--register=no", "--keep-unit", "-b"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
        )
        try:
            self.init = until(self._init, 30, "the container's first process")
            until(self._booted, 120, "the container's start")
        except BaseException:
            print(Path(self.log.name).read_text()[-3000:])
            self.stop()
            raise

    def _init(self):
        if self.process.poll() is not None:
            unavailable(f"no container can be booted: {Path(self.log.name).read_text()[-300:]}")
        # Its first child sets the container up, and is gone when the first process of the container runs.
        for child in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            status = Path(f"/proc/{child}/status").read_text()
            if re.search(r"^NSpid:\s+\d+\s+1$", status, re.MULTILINE):
                return child
        return None

    def _booted(self):
        said = self.run("systemctl is-system-running", check=False).stdout.strip()
        return said in ("running", "degraded")

    def run(self, command, check=True, **options):
        """A command of the container's shell, as root."""
        said = subprocess.run(
            ["nsenter", "-t", self.init, "-m", "-u", "-i", "-n", "-p", "-r", "-w",
             "env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8",
             "sh", "-c", command],
            capture_output=True, text=True, **options,
        )
        if check and said.returncode != 0:
            raise SystemExit(f"`{command}` ended with {said.returncode}:\n{said.stdout}{said.stderr}")
        return said

    def beside(self, *command):
        """A program of this machine in the container's network."""
        return subprocess.Popen(
            ["nsenter", "-t", self.init, "-n", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def files(self):
        """Every file and directory outside of what a running system writes."""
        out = (
            "./proc", "./sys", "./dev", "./run", "./tmp", "./var/log", "./var/cache",
            "./var/lib/dpkg", "./var/lib/apt", "./var/lib/systemd", "./var/tmp",
        )
        said = self.run("cd / && find . -xdev \\( " + " -o ".join(f"-path {path}" for path in out) + " \\) -prune -o -print")
        return set(said.stdout.split("\n"))

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        shutil.rmtree(self.root, ignore_errors=True)
