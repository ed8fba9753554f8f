#!/usr/bin/env python3
"""Measures CPU microseconds per request, side by side: side_by_side.py TARGET_DIRECTORY [ROUNDS [SECONDS]].

Every proxy stands before the same nginx and gets the same closed-loop load from wrk, in interleaved rounds, so that
what else the machine does meets all of them alike. CPU is the processes' own (user and system, from /proc). Exits 1
when the gateway takes more than its budget allows.
"""

import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "tests" / "real"))
from gateway import Gateway, free_port  # noqa: E402

CONNECTIONS = 16
WORKERS = 1
MAX_RATIO = 1.10
# Of a session to a token.
MAX_SESSION_RATIO = 1.10
MAX_IDLE_MIB = 20.0


def fill(template, **words):
    text = (HERE / template).read_text()
    for name, value in words.items():
        text = text.replace(f"@{name}@", str(value))
    return text


class Program:
    """A proxy under load: its processes and how to reach it."""

    def __init__(self, name, command, port, path="/", host="localhost", cookie=None):
        self.name, self.port, self.path, self.host, self.cookie = name, port, path, host, cookie
        self.process = command if isinstance(command, subprocess.Popen) else subprocess.Popen(command)
        self.samples = []
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{name} does not listen on port {port}")
                time.sleep(0.05)

    def pids(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def cpu_micros(self):
        ticks = 0
        for pid in self.pids():
            # The name in brackets may hold blanks; user and system time are the 14th and 15th field.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks * 1_000_000 / os.sysconf("SC_CLK_TCK")

    def resident_mib(self):
        kib = 0
        for pid in self.pids():
            kib += int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
        return kib / 1024

    def round(self, seconds):
        headers = ["-H", f"Host: {self.host}"]
        if self.cookie:
            headers += ["-H", f"Cookie: {self.cookie()}"]
        url = f"http://127.0.0.1:{self.port}{self.path}"
        before = self.cpu_micros()
        said = subprocess.run(
            ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *headers, url], capture_output=True, text=True, check=True
        ).stdout
        spent = self.cpu_micros() - before
        requests = int(re.search(r"(\d+) requests in", said)[1])
        if "Non-2xx" in said or "Socket errors" in said or requests == 0:
            raise SystemExit(f"{self.name} did not answer every request with success:\n{said}")
        self.samples.append(spent / requests)
        return requests / seconds

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def nginx(directory, name, server):
    path = Path(directory) / f"{name}.conf"
    path.write_text(fill("nginx.conf", DIR=directory, NAME=name, WORKERS=WORKERS, SERVER=server))
    return ["/usr/sbin/nginx", "-p", directory, "-c", str(path)]


def start_vestibule(binary, directory, upstream):
    """The gateway's process as three programs: what it spends on the signed in, with a token and with a session, and on
    public paths."""
    gateway = Gateway(binary, directory, upstream, "1h", WORKERS)
    host = f"localhost:{gateway.port}"
    # Every round signs in anew, outside of what is measured: no round meets a renewal.
    signed_in = Program("vestibule, signed in", gateway.process, gateway.port, host=host, cookie=gateway.sign_in)
    rooms = f"sessions.localhost:{gateway.port}"
    session = Program(
        "vestibule, session", gateway.process, gateway.port, host=rooms, cookie=lambda: gateway.sign_in(rooms)
    )
    public = Program("vestibule, public", gateway.process, gateway.port, path="/public", host=host, cookie=gateway.sign_in)
    return signed_in, session, public


def main():
    target = Path(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    programs, started, failed = [], [], False
    with tempfile.TemporaryDirectory(prefix="vestibule-bench-") as directory:
        try:
            upstream, proxy, plain = free_port(), free_port(), free_port()
            answer = "x" * 1024
            listen = f'server {{ listen 127.0.0.1:{upstream}; location / {{ return 200 "{answer}"; }} }}'
            started.append(Program("upstream", nginx(directory, "upstream", listen), upstream))
            forward = (
                f"upstream app {{ server 127.0.0.1:{upstream}; keepalive 64; }} "
                f"server {{ listen 127.0.0.1:{proxy}; location / {{ proxy_pass http://app; proxy_http_version 1.1; "
                'proxy_set_header Connection ""; } }'
            )
            gateway = start_vestibule(target / "vestibule", directory, upstream)
            # The same request for everybody: a Cookie of a kilobyte costs each of them something.
            visit = gateway[0].cookie
            programs.append(Program("nginx", nginx(directory, "proxy", forward), proxy, cookie=visit))
            command = [target / "examples/plain_proxy", f"127.0.0.1:{plain}", f"127.0.0.1:{upstream}", str(WORKERS)]
            programs.append(Program("plain Pingora", command, plain, cookie=visit))
            time.sleep(3)
            idle = gateway[0].resident_mib()
            failed |= idle > MAX_IDLE_MIB
            print(f"idle resident memory: {idle:.1f} MiB (at most {MAX_IDLE_MIB:.0f})")
            programs += gateway
            for turn in range(rounds):
                # Nobody is always the first after the others' heat.
                for program in programs[turn % len(programs) :] + programs[: turn % len(programs)]:
                    rate = program.round(seconds)
                    print(f"round {turn + 1}: {program.name}: {program.samples[-1]:.1f} µs, {rate:.0f} requests/s", flush=True)
        finally:
            for program in reversed(started + programs):
                program.stop()

    medians = {program.name: statistics.median(program.samples) for program in programs}
    base, token = medians["plain Pingora"], medians["vestibule, signed in"]
    print(f"\n{'CPU µs per request':<24}{'median':>8}{'lowest':>8}{'highest':>8}   of plain Pingora")
    for program in programs:
        median = medians[program.name]
        note = ""
        if program.name == "vestibule, signed in":
            note = f" (at most {MAX_RATIO:.2f})"
            failed |= median > MAX_RATIO * base
        if program.name == "vestibule, session":
            note = f" ({median / token:.2f} of a token, at most {MAX_SESSION_RATIO:.2f})"
            failed |= median > MAX_SESSION_RATIO * token
        print(
            f"{program.name:<24}{median:>8.1f}{min(program.samples):>8.1f}{max(program.samples):>8.1f}"
            f"   {median / base:.2f}{note}"
        )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
