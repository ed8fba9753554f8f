#!/usr/bin/env python3
"""Compares CPU microseconds per request: side_by_side.py TARGET_DIRECTORY [ROUNDS [SECONDS [BASELINE]]].

Every proxy runs in front of the same nginx and gets the same closed-loop load from wrk, in short interleaved rounds, so
that other load on the machine affects all of them alike. The proxies share one core, and the load and the upstream nginx
use the others. CPU is the processes' own (user and system, from /proc). A ratio of two programs is the median of their
ratios within each round. Exits 1 if the gateway exceeds its budget.

Plain Pingora is the minimal program of its guide, with the system's allocator. The gateway uses another allocator, so
the same program with that allocator runs too: the remaining difference is the gateway's own work.

BASELINE is a gateway of another version: it runs in the same rounds, and the ratio of this version to it is printed.
"""

import base64
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
from gateway import EMAIL, PASSWORD, Gateway, free_port  # noqa: E402

PLAIN, BASELINE = "plain Pingora", "baseline "
SIGNED_IN, SESSION, PUBLIC = "vestibule, signed in", "vestibule, session", "vestibule, public"
BASIC, SERVICE_TOKEN = "vestibule, Basic", "vestibule, service token"
PROGRAMS = """
[[sites]]
name = "programs"
origin = "http://programs.localhost:{{port}}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
upstreams = ["http://127.0.0.1:{{upstream}}"]
basic = true

[[sites.tokens]]
name = "bench"
sha256 = "{hash}"
expires = 2099-01-01
"""
CONNECTIONS = 16
WORKERS = 1
MAX_RATIO = 1.10
# Of a session compared with a token.
MAX_SESSION_RATIO = 1.10
# Of a Basic request, and of one with a service token, compared with a token in a cookie.
MAX_PROGRAM_RATIO = 1.05
MAX_IDLE_MIB = 20.0
# The measured programs run on the first core, everything else on the others.
CORES = sorted(os.sched_getaffinity(0))
ONE_CORE, OTHER_CORES = set(CORES[:1]), set(CORES[1:] or CORES)


def fill(template, **words):
    text = (HERE / template).read_text()
    for name, value in words.items():
        text = text.replace(f"@{name}@", str(value))
    return text


class Program:
    """A proxy under load: its processes and how to reach it."""

    def __init__(self, name, command, port, path="/", host="localhost", cookie=None, authorization=None):
        self.name, self.port, self.path, self.host, self.cookie = name, port, path, host, cookie
        self.authorization = authorization
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

    def keep_to_cores(self, cores):
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(task), cores)

    def cpu_micros(self):
        ticks = 0
        for pid in self.pids():
            # The name in brackets may contain spaces. User and system time are the 14th and 15th field.
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
        if self.authorization:
            headers += ["-H", f"Authorization: {self.authorization}"]
        url = f"http://127.0.0.1:{self.port}{self.path}"
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *headers, url]
        before = self.cpu_micros()
        said = subprocess.run(
            command, capture_output=True, text=True, check=True, preexec_fn=lambda: os.sched_setaffinity(0, OTHER_CORES)
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


def start_vestibule(binary, directory, upstream, version=""):
    """The gateway's process as five programs: requests that are signed in with a token, with a session, by Basic and with a
    service token, and public ones."""
    Path(directory).mkdir(exist_ok=True)
    made = subprocess.run([binary, "tokens", "new"], capture_output=True, text=True, check=True).stdout
    service_token, hashed = made.split()[0], re.search(r'sha256 = "(.*?)"', made)[1]
    gateway = Gateway(binary, directory, upstream, "1h", WORKERS, PROGRAMS.format(hash=hashed))
    host = f"localhost:{gateway.port}"
    # Every round signs in again before it is measured, so that no round includes a refresh.
    signed_in = Program(version + SIGNED_IN, gateway.process, gateway.port, host=host, cookie=gateway.sign_in)
    sessions = f"sessions.localhost:{gateway.port}"
    session = Program(version + SESSION, gateway.process, gateway.port, host=sessions, cookie=lambda: gateway.sign_in(sessions))
    public = Program(version + PUBLIC, gateway.process, gateway.port, path="/public", host=host, cookie=gateway.sign_in)
    # Programs have no cookies. One of the application would be forwarded, at a cost that those of the gateway have not.
    programs = f"programs.localhost:{gateway.port}"
    credentials = base64.b64encode(f"{EMAIL}:{PASSWORD}".encode()).decode()
    # The first request asks the identity server, which takes its time for a password.
    while subprocess.run(["curl", "-sf", "-o", os.devnull, "-u", f"{EMAIL}:{PASSWORD}", f"http://{programs}/"]).returncode:
        time.sleep(0.1)
    basic = Program(version + BASIC, gateway.process, gateway.port, host=programs, authorization=f"Basic {credentials}")
    token = Program(version + SERVICE_TOKEN, gateway.process, gateway.port, host=programs, authorization=f"Bearer {service_token}")
    return signed_in, session, public, basic, token


def main():
    target = Path(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    baseline = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    programs, started, failed = [], [], False
    with tempfile.TemporaryDirectory(prefix="vestibule-bench-") as directory:
        try:
            upstream, proxy = free_port(), free_port()
            answer = "x" * 1024
            listen = f'server {{ listen 127.0.0.1:{upstream}; location / {{ return 200 "{answer}"; }} }}'
            started.append(Program("upstream", nginx(directory, "upstream", listen), upstream))
            forward = (
                f"upstream app {{ server 127.0.0.1:{upstream}; keepalive 64; }} "
                f"server {{ listen 127.0.0.1:{proxy}; location / {{ proxy_pass http://app; proxy_http_version 1.1; "
                'proxy_set_header Connection ""; } }'
            )
            gateway = start_vestibule(target / "vestibule", directory, upstream)
            # The same request for all programs: a cookie of a kilobyte costs each of them CPU.
            visit = gateway[0].cookie
            programs.append(Program("nginx", nginx(directory, "proxy", forward), proxy, cookie=visit))
            for name, example in [(PLAIN, "plain_proxy"), (f"{PLAIN}, mimalloc", "plain_proxy_mimalloc")]:
                port = free_port()
                command = [target / "examples" / example, f"127.0.0.1:{port}", f"127.0.0.1:{upstream}", str(WORKERS)]
                programs.append(Program(name, command, port, cookie=visit))
            time.sleep(3)
            idle = gateway[0].resident_mib()
            failed |= idle > MAX_IDLE_MIB
            print(f"idle resident memory: {idle:.1f} MiB (at most {MAX_IDLE_MIB:.0f})")
            programs += gateway
            if baseline:
                programs += start_vestibule(baseline, f"{directory}/baseline", upstream, BASELINE)
            started[0].keep_to_cores(OTHER_CORES)
            for program in programs:
                program.keep_to_cores(ONE_CORE)
            for turn in range(rounds):
                # Rotate the order, so that no program always runs first.
                for program in programs[turn % len(programs) :] + programs[: turn % len(programs)]:
                    rate = program.round(seconds)
                    print(f"round {turn + 1}: {program.name}: {program.samples[-1]:.1f} µs, {rate:.0f} requests/s", flush=True)
        finally:
            for program in reversed(started + programs):
                program.stop()

    by_name = {program.name: program.samples for program in programs}

    def ratio(name, base):
        return statistics.median(mine / theirs for mine, theirs in zip(by_name[name], by_name[base], strict=True))

    print(f"\n{'CPU µs per request':<31}{'median':>8}{'lowest':>8}{'highest':>8}   of plain Pingora")
    for name, samples in by_name.items():
        of_plain, note = ratio(name, PLAIN), ""
        if name == SIGNED_IN:
            note = f" (at most {MAX_RATIO:.2f})"
            failed |= of_plain > MAX_RATIO
        if name == SESSION:
            of_token = ratio(SESSION, SIGNED_IN)
            note = f" ({of_token:.2f} of a token, at most {MAX_SESSION_RATIO:.2f})"
            failed |= of_token > MAX_SESSION_RATIO
        if name in (BASIC, SERVICE_TOKEN):
            of_token = ratio(name, SIGNED_IN)
            note = f" ({of_token:.2f} of a token in a cookie, at most {MAX_PROGRAM_RATIO:.2f})"
            failed |= of_token > MAX_PROGRAM_RATIO
        print(
            f"{name:<31}{statistics.median(samples):>8.1f}{min(samples):>8.1f}{max(samples):>8.1f}   {of_plain:.2f}{note}"
        )
    for name in [SIGNED_IN, SESSION, PUBLIC, BASIC, SERVICE_TOKEN] if baseline else []:
        print(f"{name}: {ratio(name, BASELINE + name):.3f} of the baseline")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
