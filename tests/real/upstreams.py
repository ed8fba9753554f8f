#!/usr/bin/env python3
"""Servers of an application that die and come back under load: upstreams.py VESTIBULE_BINARY.

wrk asks for a page over connections that are kept, while one of three upstreams is killed and started again, then while
the addresses of one name, 127.0.0.1 and 127.0.0.2, are dead in turn. No request may fail. The name comes from an
/etc/hosts that only the gateway sees (unshare of util-linux, as root). Prints `N passed, N failed`.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from crowd import application  # noqa: E402
from gateway import Served, free_port, write_users  # noqa: E402

NAME = "application.test"
HOSTS = f"127.0.0.1 localhost\n127.0.0.1 {NAME}\n127.0.0.2 {NAME}\n"
CONFIG = """state_dir = "{directory}/state"

[server]
listen = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"

[providers.local]
kind = "embedded"
users = "{directory}/users.toml"

[log]
level = "error"
"""
SITE = """
[[sites]]
name = "{name}"
origin = "http://{name}.localhost:{port}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
default_access = "public"
upstreams = [{upstreams}]
"""
# The gateway tries a server again ten seconds after it took it out.
AGAIN = 12


class Server:
    """A process with the application at this address."""

    def __init__(self, host, port=0):
        with socket.create_server((host, port)) as listener:
            self.host, self.port = listener.getsockname()
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, __file__, "--application", self.host, str(self.port)])
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                return socket.create_connection((self.host, self.port), 1).close()
            except OSError:
                time.sleep(0.05)
        raise SystemExit("the application does not start")

    def kill(self):
        self.process.kill()
        self.process.wait()


def serve(host, port):
    async def forever():
        server = await asyncio.start_server(application, host, port, backlog=1024)
        await server.serve_forever()

    asyncio.run(forever())


class InOwnMounts(Served):
    """A gateway whose /etc/hosts is `hosts` in its directory."""

    def start(self):
        hosts = self.directory / "hosts"
        hosts.write_text(HOSTS)
        program = self.directory / "vestibule"
        if not program.exists():
            program.write_text(
                f"#!/bin/sh\nmount --bind {hosts} /etc/hosts && exec {Path(self.binary).resolve()} \"$@\"\n"
            )
            program.chmod(0o755)
        command = ["unshare", "--mount", program, "serve", "--config", self.config]
        self.process = subprocess.Popen(command, stdout=self.log)
        deadline = time.monotonic() + 20
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the gateway does not get ready")
            time.sleep(0.05)


def under_load(gateway, site, events):
    """Runs wrk on the site while `events` happen. Gives the number of requests, and what went wrong."""
    host = f"{site}.localhost:{gateway.port}"
    load = subprocess.Popen(
        ["wrk", "-t1", "-c16", "-d3600s", "--timeout", "20s", "-H", f"Host: {host}", f"http://127.0.0.1:{gateway.port}/"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(1)
    events()
    load.send_signal(signal.SIGINT)
    output, _ = load.communicate()
    faults = re.findall(r"Socket errors:.*|Non-2xx or 3xx responses:.*", output)
    return int(re.search(r"(\d+) requests in", output)[1]), faults


def one_of_three(servers):
    for _ in range(2):
        servers[0].kill()
        time.sleep(3)
        servers[0].start()
        time.sleep(AGAIN)


def addresses_in_turn(servers):
    for server in [*servers, *servers]:
        server.kill()
        time.sleep(3)
        server.start()
        time.sleep(AGAIN)


def main():
    if sys.argv[1] == "--application":
        return serve(sys.argv[2], int(sys.argv[3]))
    if os.geteuid() != 0:
        print("skipped: upstreams that die: only root can give the gateway an /etc/hosts of its own")
        sys.exit(77)
    three = [Server("127.0.0.1") for _ in range(3)]
    first = Server("127.0.0.1")
    both = [first, Server("127.0.0.2", first.port)]
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-upstreams-") as directory:
        write_users(sys.argv[1], Path(directory) / "users.toml", "60s")
        port, admin = free_port(), free_port()
        config = CONFIG.format(directory=directory, port=port, admin=admin)
        upstreams = ", ".join(f'"http://127.0.0.1:{server.port}"' for server in three)
        config += SITE.format(name="three", port=port, upstreams=upstreams)
        config += SITE.format(name="name", port=port, upstreams=f'"http://{NAME}:{first.port}"')
        gateway = InOwnMounts(sys.argv[1], directory, config, port, admin, f"three.localhost:{port}")
        try:
            for what, site, events in [
                ("one of three upstreams is killed and started again", "three", lambda: one_of_three(three)),
                ("the addresses of a name are dead in turn", "name", lambda: addresses_in_turn(both)),
            ]:
                requests, faults = under_load(gateway, site, events)
                good = requests > 0 and not faults
                print(f"{'ok' if good else 'FAILED'}: {what}: {requests} requests, {faults or 'none failed'}", flush=True)
                passed, failed = passed + good, failed + (not good)
        finally:
            gateway.stop()
            for server in [*three, *both]:
                server.kill()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
