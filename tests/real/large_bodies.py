#!/usr/bin/env python3
"""Large bodies take no memory: large_bodies.py VESTIBULE_BINARY [MIB].

curl sends MIB (128) mebibytes to the application, and gets as many from it, over HTTP/1.1, HTTP/1.1 over TLS, HTTP/2 in
the clear and HTTP/2 over TLS. Every byte arrives, and the gateway's peak of memory (`VmHWM`) rises by 10 MiB at most
over each. Prints `N passed, N failed`.
"""

import multiprocessing
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gateway import Served, free_port, write_users  # noqa: E402
from tls_listener import LISTENERS, NAME, Authority  # noqa: E402

MOST_MIB = 10
PIECE = bytes(1 << 16)
CONFIG = LISTENERS + """[log]
level = "warn"

[[sites]]
name = "clear"
origin = "http://localhost:{plain}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
default_access = "public"
upstreams = ["http://127.0.0.1:{upstream}"]

[[sites]]
name = "secure"
origin = "https://{name}:{tls}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
default_access = "public"
upstreams = ["http://127.0.0.1:{upstream}"]
"""


def answer(stream):
    """One request: `GET /N` gets N bytes, anything else the number of bytes that its body had."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += stream.recv(1 << 16)
    head, _, body = received.partition(b"\r\n\r\n")
    if head.startswith(b"GET "):
        left = int(re.match(rb"GET /(\d+)", head)[1])
        stream.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % left)
        while left > 0:
            left -= stream.send(PIECE[: min(left, len(PIECE))])
    else:
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        counted, buffer = len(body), bytearray(1 << 16)
        while counted < length and (read := stream.recv_into(buffer)):
            counted += read
        said = b"%d" % counted
        stream.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
    stream.close()


def application(listener):
    """Serves in a process of its own."""
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def curl(directory, *arguments):
    """The number that curl prints."""
    command = ["curl", "-sS", "--cacert", f"{directory}/root.pem", "--max-time", "600", *arguments]
    said = subprocess.run(command, capture_output=True, text=True)
    return said.stdout.strip() or said.stderr


def status(gateway, name):
    text = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+)", text)[1]) / 1024


def play(binary, mib):
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    upstream = multiprocessing.get_context("fork").Process(target=application, args=(listener,), daemon=True)
    upstream.start()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-large-") as directory:
        authority = Authority(directory)
        authority.issue()
        write_users(binary, Path(directory) / "users.toml", "60s")
        plain, tls, admin = free_port(), free_port(), free_port()
        config = CONFIG.format(
            directory=directory, plain=plain, tls=tls, admin=admin, name=NAME, upstream=listener.getsockname()[1]
        )
        gateway = Served(binary, directory, config, plain, admin, f"localhost:{plain}")
        there = ["--resolve", f"{NAME}:{tls}:127.0.0.1"]
        ways = {
            "HTTP/1.1": (["--http1.1"], f"http://localhost:{plain}"),
            "HTTP/1.1 over TLS": (["--http1.1", *there], f"https://{NAME}:{tls}"),
            "HTTP/2": (["--http2-prior-knowledge"], f"http://localhost:{plain}"),
            "HTTP/2 over TLS": (["--http2", *there], f"https://{NAME}:{tls}"),
        }
        size = mib << 20
        with open(f"{directory}/large", "wb") as large:
            large.truncate(size)
        try:
            # What every protocol needs once.
            for options, site in ways.values():
                curl(directory, *options, f"{site}/1000", "-o", "/dev/null")
            for way, (options, site) in ways.items():
                # The peak begins at what is resident now, proc(5).
                Path(f"/proc/{gateway.process.pid}/clear_refs").write_text("5")
                before = status(gateway, "VmHWM")
                for what, more in [
                    ("down", ["-o", "/dev/null", "-w", "%{size_download}", f"{site}/{size}"]),
                    ("up", ["-T", f"{directory}/large", f"{site}/"]),
                ]:
                    started = time.monotonic()
                    got = curl(directory, *options, *more)
                    took, more_mib = time.monotonic() - started, status(gateway, "VmHWM") - before
                    good = got == str(size) and more_mib <= MOST_MIB
                    passed, failed = passed + good, failed + (not good)
                    print(
                        f"{'ok' if good else 'FAILED'}: {mib} MiB {what} over {way}: {got} bytes, {mib / took:.0f} MiB/s,"
                        f" {more_mib:.1f} MiB more at the peak", flush=True,
                    )  # fmt: skip
        finally:
            gateway.stop()
            upstream.terminate()
    print(f"{passed} passed, {failed} failed")
    return failed == 0


if __name__ == "__main__":
    sys.exit(0 if play(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 128) else 1)
