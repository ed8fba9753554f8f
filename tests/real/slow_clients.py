#!/usr/bin/env python3
"""Slow clients, and a visitor beside them: slow_clients.py VESTIBULE_BINARY [SECONDS].

Debian's slowhttptest plays its four modes for SECONDS (8) each, against HTTP/1.1 in the clear and over TLS at once, with
more connections than one address may have. The slow clients are closed when their time is over. A visitor at another
address asks all the while, over a kept connection and over new ones: the 99th percentile of what the visitor waits is at
most three times what it is without them. Prints `N passed, N failed`.
"""

import asyncio
import csv
import multiprocessing
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gateway import Served, free_port, write_users  # noqa: E402
from tls_listener import LISTENERS, NAME, Authority  # noqa: E402

# Of each listener. Those that read slowly are fewer, and come one after the other: the kernel takes a whole megabyte into
# the buffers of each connection on one machine, and visitors of nginx wait for that as well.
CONNECTIONS, READERS = 1500, 100
ADDRESS_LIMIT = 1000
# Shorter than the default, so that slow clients are closed while the test lasts.
TIME_LIMIT = 3
# Below this, in milliseconds, it is the machine that is measured.
NOISE = 10
TRIES = 3
MODES = {
    "slow heads": ["-H", "-i", "2", "-x", "24"],
    "slow bodies": ["-B", "-i", "30", "-s", "8192", "-x", "10"],
    "many ranges": ["-R", "-a", "10", "-b", "3000"],
    "slow reading": ["-X", "-w", "512", "-y", "1024", "-n", "30", "-z", "32", "-k", "3"],
}
CONFIG = LISTENERS + """[server.limits]
header_timeout = "{limit}s"
upstream_idle = "{limit}s"
connections_per_address = {address_limit}

[log]
level = "error"

"""
# One for each listener, and for the slow clients and the visitor: they do not meet at the application.
SITE = """
[[sites]]
name = "{name}"
origin = "{origin}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
default_access = "public"
upstreams = ["http://127.0.0.1:{upstream}"]
"""
SMALL = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n" + bytes(1 << 20)


async def answer(reader, writer):
    """The application: a small page, and one of a megabyte at `/large`. Bodies are not waited for."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            writer.write(LARGE if b" /large" in head[:40] else SMALL)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


def application(listener):
    """Serves in a process of its own."""

    async def serve():
        server = await asyncio.start_server(answer, sock=listener, backlog=4096)
        await server.serve_forever()

    asyncio.run(serve())


def start_application():
    """Its port and process."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    process = multiprocessing.get_context("fork").Process(target=application, args=(listener,), daemon=True)
    process.start()
    return listener.getsockname()[1], process


class Visitor:
    """Asks from an address of its own, in the clear and over TLS in turn."""

    def __init__(self, plain, tls, context):
        self.ways = [(plain, None), (tls, context)]
        self.kept = [None, None]

    def connect(self, way):
        port, context = self.ways[way]
        stream = socket.create_connection(("127.0.0.1", port), 20, ("127.0.0.2", 0))
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(stream, server_hostname=NAME) if context else stream

    def ask(self, way, is_kept):
        """How long a request takes, in milliseconds."""
        host = f"visitor.localhost:{self.ways[0][0]}" if way == 0 else NAME
        started = time.perf_counter()
        if not is_kept or self.kept[way] is None:
            stream = self.connect(way)
        else:
            stream = self.kept[way]
        stream.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        received = b""
        while not received.endswith(b"hello"):
            piece = stream.recv(4096)
            if not piece and not received and is_kept and self.kept[way]:
                # It was kept for too long: a visitor's program connects again.
                self.kept[way] = None
                return self.ask(way, is_kept)
            if not piece:
                raise SystemExit(f"a visitor got {received!r}")
            received += piece
        took = (time.perf_counter() - started) * 1000
        if not received.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"a visitor got {received!r}")
        if is_kept:
            self.kept[way] = stream
        else:
            stream.close()
        return took

    def p99(self, seconds):
        end, times = time.monotonic() + seconds, []
        while time.monotonic() < end:
            times.append(self.ask(len(times) % 2, len(times) % 10 > 1))
            time.sleep(0.005)
        return sorted(times)[int(len(times) * 0.99)]


def attack(mode, port, scheme, directory, seconds):
    target, connections, rate = ("/large", READERS, READERS / 4) if mode == "slow reading" else ("/", CONNECTIONS, 1000)
    return subprocess.Popen(
        ["slowhttptest", *MODES[mode], "-c", str(connections), "-r", str(int(rate)), "-l", str(seconds), "-p", "10", "-g",
         "-o", f"{directory}/{scheme}", "-u", f"{scheme}://localhost:{port}{target}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def connections_made(directory, scheme):
    with open(f"{directory}/{scheme}.csv") as table:
        last = list(csv.DictReader(table))[-1]
    return sum(int(last[name]) for name in last if name.strip() in ("Connected", "Closed"))


def play_mode(mode, gateway, visitor, ports, directory, seconds):
    """Gives what was wrong, if anything."""
    idle = visitor.p99(seconds / 3)
    attacks = [attack(mode, port, scheme, directory, seconds + 1) for scheme, port in ports.items()]
    busy = visitor.p99(seconds)
    left = gateway.metric("vestibule_connections")
    for process in attacks:
        try:
            process.wait(seconds + 30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    idle = max(idle, visitor.p99(seconds / 3))
    made = sum(connections_made(directory, scheme) for scheme in ports)
    resident = gateway.metric("process_resident_memory_bytes") / 1024 / 1024
    print(f"{mode}: p99 {busy:.1f} ms, without them {idle:.1f} ms; {made} connections, {left:.0f} left; {resident:.0f} MiB", flush=True)
    if busy > 3 * max(idle, NOISE / 3):
        return f"a visitor waits {busy:.1f} ms in place of {idle:.1f} ms"
    if made < READERS:
        return "nothing was tested"
    # Two of them are the visitor's. A few may still be on their way.
    if left > made / 10 and seconds > 2 * TIME_LIMIT:
        return "slow clients are still connected"
    return None


def play(binary, seconds):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    (slow, _), (quick, _) = applications = [start_application() for _ in range(2)]
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-slow-") as directory:
        authority = Authority(directory)
        authority.issue()
        write_users(binary, Path(directory) / "users.toml", "60s")
        plain, tls, admin = free_port(), free_port(), free_port()
        config = CONFIG.format(
            directory=directory, plain=plain, tls=tls, admin=admin, limit=TIME_LIMIT, address_limit=ADDRESS_LIMIT
        )
        for name, origin, upstream in [
            ("slow", f"http://localhost:{plain}", slow),
            ("slow-tls", f"https://localhost:{tls}", slow),
            ("visitor", f"http://visitor.localhost:{plain}", quick),
            ("visitor-tls", f"https://{NAME}", quick),
        ]:
            config += SITE.format(name=name, origin=origin, upstream=upstream)
        gateway = Served(binary, directory, config, plain, admin, f"localhost:{plain}")
        visitor = Visitor(plain, tls, authority.context())
        try:
            for mode in MODES:
                for _ in range(TRIES):
                    fault = play_mode(mode, gateway, visitor, {"http": plain, "https": tls}, directory, seconds)
                    if not fault:
                        break
                passed, failed = passed + (not fault), failed + bool(fault)
                if fault:
                    print(f"FAILED: {mode}: {fault}")
        finally:
            gateway.stop()
            for _, process in applications:
                process.terminate()
    print(f"{passed} passed, {failed} failed")
    return failed == 0


if __name__ == "__main__":
    sys.exit(0 if play(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8) else 1)
