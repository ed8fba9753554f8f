#!/usr/bin/env python3
"""The Debian package on a bare Debian with systemd: package.py PACKAGE.deb. Prints `N passed, N failed`.

Follows the guide word for word (docs/guide/systemd.md) to a signed-in visitor, then upgrades to a second build, reloads
and restarts while visitors ask, and removes the package. Needs root, systemd-nspawn and mmdebstrap.
"""

import asyncio
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from blocks import blocks  # noqa: E402
from crowd import application, ask, cookies_of, head_of  # noqa: E402
from gateway import Served  # noqa: E402
from machine import Machine  # noqa: E402
from webdriver import until  # noqa: E402

EMAIL, PASSWORD = "ada@example.com", "a long password"
HOST, PORT = "localhost:8080", 8080
# The user stays.
ACCOUNTS = {"./etc/passwd-", "./etc/group-", "./etc/shadow-", "./etc/gshadow-", "./etc/.pwd.lock"}
CONFIG = "/etc/vestibule/vestibule.toml"


async def visit():
    """Runs in the container's network: an application, and a visitor who asks until standard input ends."""
    await asyncio.start_server(application, "127.0.0.1", 3000)
    visitor = object.__new__(Served)
    visitor.port, visitor.host = PORT, HOST
    cookie = await asyncio.to_thread(visitor.sign_in, None, EMAIL, PASSWORD)
    cookies = dict(pair.split("=", 1) for pair in cookie.split("; "))
    asked, faults, ended = 0, [], asyncio.Event()
    print("signed in", flush=True)

    async def end():
        await asyncio.to_thread(sys.stdin.read)
        ended.set()

    async def over_new_connections():
        nonlocal asked
        while not ended.is_set():
            head = head_of(HOST, "/orders", "; ".join(f"{name}={value}" for name, value in cookies.items()))
            try:
                answer = await ask(PORT, head)
                if not (answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(EMAIL.encode())):
                    faults.append(repr(answer[:300]))
                cookies.update(cookies_of(answer))
            except OSError as error:
                faults.append(repr(error))
            asked += 1
            await asyncio.sleep(0.02)

    def over_one_connection():
        """As a load balancer: a new connection only after a response that closes it."""
        nonlocal asked
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
        while not ended.is_set():
            try:
                connection.request("GET", "/robots.txt", headers={"Host": HOST})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    faults.append(f"{answer.status}")
            except (OSError, http.client.HTTPException) as error:
                faults.append(repr(error))
                connection.close()
            asked += 1
            time.sleep(0.01)

    await asyncio.gather(end(), over_new_connections(), over_new_connections(), asyncio.to_thread(over_one_connection))
    print(json.dumps([asked, faults]), flush=True)


class Visitors:
    """Visitors who ask while something changes. None of them may notice."""

    def __init__(self, machine):
        self.machine = machine

    def __enter__(self):
        self.process = self.machine.beside(sys.executable, __file__, "visit")
        if self.process.stdout.readline() != "signed in\n":
            raise SystemExit("nobody could sign in")
        return self

    def __exit__(self, *_):
        # Requests after the change count too.
        time.sleep(1)
        said, _ = self.process.communicate("")
        asked, faults = json.loads(said)
        print(f"  {asked} requests, {len(faults)} failed")
        assert asked > 20, "nothing was asked"
        assert not faults, f"{len(faults)} failed: {faults[:3]}"


class Installed:
    """The package on the machine, and the steps in the order in which an operator takes them."""

    def __init__(self, machine, package):
        self.machine, self.package = machine, package
        self.guide = blocks("docs/guide/systemd.md", "tests/real/package.py")
        self.before = machine.files()
        # What `sudo` is to a person, root has without it.
        machine.run("printf '#!/bin/sh\\nexec \"$@\"\\n' >/usr/local/bin/sudo && chmod 755 /usr/local/bin/sudo")
        shutil.copy(package, machine.root / "root")

    def run(self, command, **options):
        return self.machine.run(command, **options).stdout

    def follow(self, name, **options):
        return self.run(f"set -e\ncd /root\n{self.guide[name]}", **options)

    def main_process(self):
        return self.run("systemctl show -P MainPID vestibule").strip()

    def is_active(self):
        return self.run("systemctl is-active vestibule", check=False).strip() == "active"

    def journal(self):
        return self.run("journalctl -u vestibule -o cat --no-pager")

    def install(self):
        """The guide: the package is installed and started."""
        said = self.follow("install")
        assert "Active: active (running)" in said, said
        assert "Serving on 127.0.0.1:8080" in said, "systemd was not told that the gateway is ready"

    def sign_in(self):
        """The guide: a user is added, and signs in."""
        self.follow("users", input=PASSWORD + "\n")
        self.follow("check")
        until(lambda: "reloaded" in self.journal(), 15, "the reload after the user was added")
        with Visitors(self.machine):
            pass

    def files_are_private(self):
        """Password hashes, secrets and state are not for everybody."""
        modes = self.run("stat -c '%A %U:%G %n' /etc/vestibule /etc/vestibule/* /var/lib/vestibule /var/lib/vestibule/*")
        for line in modes.splitlines():
            name = line.split()[-1]
            expected = "---" if name != CONFIG else "r--"
            assert line[7:10] == expected, f"{line}: others have access"
        assert "root:vestibule /etc/vestibule/users.toml" in modes, modes

    def unit_is_hardened(self):
        """What systemd says of the unit."""
        said = self.run("systemd-analyze verify vestibule.service 2>&1", check=False)
        said = [line for line in said.splitlines() if "vestibule" in line and "notify-reload" not in line and "Command .man" not in line.replace("'", ".")]
        assert not said, said
        exposure = self.run("systemd-analyze security vestibule.service --no-pager | tail -n 1")
        print(f"  {exposure.strip()}")
        assert float(exposure.split(": ")[1].split()[0]) < 2, exposure

    def reload(self):
        """A configuration with an error is refused, and the old one serves on."""
        self.run(f"cp {CONFIG} /root/good.toml && echo 'unknown = 1' >> {CONFIG}")
        with Visitors(self.machine):
            self.run("systemctl reload vestibule")
            until(lambda: "reload_refused" in self.journal(), 10, "the refusal")
            self.run(f"cat /root/good.toml > {CONFIG} && systemctl reload vestibule")
        assert self.is_active()

    def second_build(self):
        """The package as the next version, with a program that is another file."""
        directory = self.machine.root / "root" / "next"
        subprocess.run(["dpkg-deb", "-R", self.package, directory], check=True)
        control = directory / "DEBIAN" / "control"
        control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 1:"))
        with open(directory / "usr/bin/vestibule", "ab") as program:
            program.write(b"\0")
        subprocess.run(["dpkg-deb", "-b", "-Znone", directory, f"{directory}.deb"], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(directory)

    def upgrade(self):
        """A newer package takes over, and no request is lost."""
        self.second_build()
        before = self.main_process()
        with Visitors(self.machine):
            self.run("dpkg -i /root/next.deb")
            after = self.main_process()
            until(lambda: self.run(f"ls /proc/{before}", check=False) == "", 40, "the end of the old process")
        assert before != after, "the old program still runs"
        assert self.run(f"[ /proc/{after}/exe -ef /usr/bin/vestibule ] && echo same") == "same\n"
        assert self.is_active() and self.main_process() == after

    def refused_upgrade(self):
        """A new version that cannot start leaves the old one in place."""
        before = self.main_process()
        self.run(f"mv /usr/bin/vestibule /root/program && cp /root/program /usr/bin/vestibule && echo 'unknown = 1' >> {CONFIG}")
        with Visitors(self.machine):
            said = self.machine.run("systemctl reload vestibule", check=False)
            assert said.returncode != 0, "the reload did not fail"
            assert self.is_active() and self.main_process() == before
        self.run(f"cat /root/good.toml > {CONFIG} && systemctl reload vestibule")
        assert self.main_process() != before

    def secrets(self):
        """A secret in a file that root alone can read reaches the service."""
        self.follow("secrets", input="an-api-key-of-a-provider")
        path = "/run/credentials/vestibule.service/secrets_fusionauth.key"
        provider = f'kind = "fusionauth"\nurl = "http://localhost:9"\nissuer = "x"\napi_key = {{ file = "{path}" }}'
        self.run(f"sed -i 's/^kind = .*//; s/^users = .*//' {CONFIG}")
        text = (self.machine.root / CONFIG.lstrip("/")).read_text()
        (self.machine.root / CONFIG.lstrip("/")).write_text(text.replace("[providers.main]", f"[providers.main]\n{provider}", 1))
        self.run("systemctl restart vestibule")
        assert self.is_active(), self.journal()[-2000:]
        self.follow("check")
        self.run(f"cat /root/good.toml > {CONFIG} && systemctl restart vestibule")

    def socket(self):
        """systemd opens the sockets: no connection is refused while the service restarts."""
        self.run("mkdir -p /etc/systemd/system/vestibule.socket.d && printf '[Socket]\\nListenStream=\\nListenStream=127.0.0.1:8080\\n' "
                 ">/etc/systemd/system/vestibule.socket.d/override.conf && systemctl daemon-reload")
        self.follow("socket")
        before = self.main_process()
        with Visitors(self.machine):
            self.run("systemctl restart vestibule")
        assert self.main_process() != before
        with Visitors(self.machine):
            self.run("mv /usr/bin/vestibule /root/program && cp /root/program /usr/bin/vestibule && systemctl reload vestibule")
        self.run("rm -r /etc/systemd/system/vestibule.socket.d")

    def remove(self):
        """Removal leaves configuration and state, purging leaves nothing."""
        self.run("rm -r /root/* && dpkg -r vestibule")
        left = {path for path in self.machine.files() - self.before if "sudo" not in path}
        # A removed service is masked until it is purged.
        kept = ("./etc/vestibule", "./var/lib/vestibule", "./etc/systemd")
        left = {path for path in left if path and not path.startswith(kept)}
        assert not left - ACCOUNTS, sorted(left)
        assert self.run("ss -ltn 2>/dev/null | grep -c 8080 || true").strip() in ("", "0")
        assert self.run("test -e /var/lib/vestibule && echo there") == "there\n", "the state is gone"
        self.run("dpkg -P vestibule")
        left = {path for path in self.machine.files() - self.before if "sudo" not in path and path}
        assert not left - ACCOUNTS, sorted(left)


STEPS = ("install", "sign_in", "files_are_private", "unit_is_hardened", "reload", "upgrade", "refused_upgrade", "secrets", "socket", "remove")


def main():
    if sys.argv[1] == "visit":
        asyncio.run(visit())
        return
    passed = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-package-") as directory:
        machine = Machine(directory)
        try:
            installed = Installed(machine, sys.argv[1])
            for step in STEPS:
                print(f"{step}: {getattr(Installed, step).__doc__}", flush=True)
                try:
                    getattr(installed, step)()
                    passed += 1
                except (AssertionError, SystemExit):
                    traceback.print_exc()
                    print(machine.run("journalctl -u 'vestibule*' --no-pager | grep -v '\"access\"' | tail -n 20", check=False).stdout)
        finally:
            machine.stop()
    failed = len(STEPS) - passed
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
