"""The kinds of load, and what a request or a handshake under it costs a program.

wrk and h2load keep their connections for all rounds and are stopped (SIGSTOP) between a program's turns. So no turn includes
connections that are made, and a turn can be short. What is measured begins and ends while nothing is in flight: the requests
are counted at the upstream, which gets every one of them.
"""

import contextlib
import http.client
import os
import re
import signal
import subprocess
import tempfile
import time
from collections import Counter

from processes import OTHER_CORES, established

CLEAR, TLS, HTTP2, HANDSHAKES = "clear", "tls", "http2", "handshakes"
KINDS = {
    CLEAR: "HTTP/1.1 in the clear",
    TLS: "HTTP/1.1 over TLS",
    HTTP2: "HTTP/2 over TLS",
    HANDSHAKES: "full TLS handshakes",
}
# Of HTTP/2: for each connection as many as a page may have, and in all as many as there are connections at most.
STREAMS, AT_ONCE = 10, 2000
# Connections for one handshake and one request each, which h2load makes together.
HANDSHAKES_AT_ONCE = 100


class Failed(Exception):
    """Why a load could not be measured."""


class UpstreamCount:
    """Counts the requests that reach the upstream."""

    def __init__(self, port):
        self.connection, self.asked = http.client.HTTPConnection("127.0.0.1", port, timeout=20), 0

    def requests(self):
        self.connection.request("GET", "/")
        self.asked += 1
        numbers = re.search(r"requests\s+\d+ \d+ (\d+)", self.connection.getresponse().read().decode())
        return int(numbers[1]) - self.asked


def streams(connections):
    return max(1, min(STREAMS, AT_ONCE // connections))


def started(command, **more):
    return subprocess.Popen(command, text=True, preexec_fn=lambda: os.sched_setaffinity(0, OTHER_CORES), **more)


def settled(process, count):
    """Waits until nothing of a load that has stopped is in flight: no request more, and next to no CPU."""
    deadline, seen = time.monotonic() + 5, None
    while time.monotonic() < deadline:
        now = (count.requests(), process.cpu_micros())
        if seen and now[0] == seen[0] and now[1] - seen[1] < 500:
            break
        seen = now
        time.sleep(0.01)
    return now


class Requests:
    """Requests over connections that are kept, each as soon as the one before it has its response."""

    def __init__(self, kind, connections, program, count):
        self.program, self.connections, self.count = program, connections, count
        headers = [word for line in program.headers() for word in ("-H", line)]
        if kind == HTTP2:
            self.log = tempfile.NamedTemporaryFile(prefix="vestibule-bench-", suffix=".log")
            command = ["h2load", "-t1", f"-c{connections}", f"-m{streams(connections)}", "-D3600",
                       f"--log-file={self.log.name}", f"--connect-to=127.0.0.1:{program.port}", *headers, program.url()]  # fmt: skip
            self.load = started(command, stdout=subprocess.DEVNULL)
        else:
            self.log = None
            command = ["wrk", "-t1", f"-c{connections}", "-d1h", *headers, program.url()]
            self.load = started(command, stdout=subprocess.PIPE)

    def warm_up(self):
        """Until all connections are there and have been used, as far as the upstream can tell."""
        deadline = time.monotonic() + 60
        wanted = None
        while wanted is None or self.count.requests() < wanted:
            if self.load.poll() is not None or time.monotonic() > deadline:
                there = established(self.program.port)
                raise Failed(f"{self.program.name}: {there} of {self.connections} connections were made")
            time.sleep(0.05)
            if wanted is None and established(self.program.port) >= self.connections:
                wanted = self.count.requests() + 1000 + 3 * self.connections
        self.load.send_signal(signal.SIGSTOP)

    def micros(self, seconds):
        """CPU microseconds of a request, over this time."""
        requests, cpu = settled(self.program.process, self.count)
        self.load.send_signal(signal.SIGCONT)
        end = time.monotonic() + 20 + seconds
        # Once, unless the machine is so busy that next to nothing happened.
        while time.monotonic() < end:
            time.sleep(seconds)
            if self.count.requests() > requests + self.connections:
                break
        self.load.send_signal(signal.SIGSTOP)
        requests_after, cpu_after = settled(self.program.process, self.count)
        if requests_after == requests:
            raise Failed(f"{self.program.name} passed no request on")
        return (cpu_after - cpu) / (requests_after - requests)

    def end(self):
        """Ends the load. Fails where a response was no success."""
        self.load.send_signal(signal.SIGCONT)
        if self.log:
            self.kill()
            # The last line may be cut off.
            statuses = Counter(line.split("\t")[1] for line in self.log.read().decode().splitlines()[:-1])
            self.log.close()
            failed = f"{statuses}" if set(statuses) != {"200"} else ""
        else:
            said = self.interrupted()
            # The responses that wait while it is stopped come late, to its mind.
            lost = "Socket errors" in said and "connect 0, read 0, write 0" not in said
            failed = said if "Non-2xx" in said or lost else ""
        if failed:
            raise Failed(f"{self.program.name} did not answer every request with success:\n{failed}")


    def interrupted(self):
        """What wrk says after SIGINT. It has to reach the thread that sleeps, and may reach the other one."""
        while True:
            self.load.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.load.communicate(timeout=0.1)[0]

    def kill(self):
        self.load.kill()
        self.load.wait()


class Handshakes:
    """New connections for one request each. h2load resumes no TLS session."""

    def __init__(self, program, count):
        self.program, self.count = program, count
        headers = [word for line in program.headers() for word in ("-H", line)]
        number = HANDSHAKES_AT_ONCE
        self.command = ["h2load", "--h1", "-t1", f"-c{number}", f"-n{number}",
                        f"--connect-to=127.0.0.1:{program.port}", *headers, program.url()]  # fmt: skip

    def warm_up(self):
        self.connect()

    def connect(self):
        load = started(self.command, stdout=subprocess.PIPE)
        said = load.communicate()[0]
        if f" {HANDSHAKES_AT_ONCE} 2xx" not in said:
            raise Failed(f"{self.program.name} did not answer on every connection:\n{said}")
        return HANDSHAKES_AT_ONCE

    def micros(self, seconds):
        """CPU microseconds of a handshake, over about this time."""
        _, cpu = settled(self.program.process, self.count)
        made, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            made += self.connect()
        return (settled(self.program.process, self.count)[1] - cpu) / made

    def end(self):
        """Nothing goes on between its turns."""

    kill = end


def load_of(kind, connections, program, count):
    return Handshakes(program, count) if kind == HANDSHAKES else Requests(kind, connections, program, count)
