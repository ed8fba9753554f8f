#!/usr/bin/env python3
"""copyparty behind the gateway: files.py VESTIBULE_BINARY [SCENARIO...].

copyparty knows its users by a header. Browsers come with cookies, WebDAV programs with a user and a password
(`basic = true`). 1 GiB goes up and down, and the gateway takes at most 10 MiB more for it. Tokens live for three seconds.
Prints `N passed, N failed`.
"""

import hashlib
import http.client
import time
from pathlib import Path

from deployment import ADA, PASSWORD, free_port, from_pypi, main
from webdav import cadaver

SITE = """headers = "remote-user"
basic = true
"""
GIBIBYTE, BLOCK = 1 << 30, 1 << 20
ALLOWED = 10 << 20


def prepare(deployment):
    programs = from_pypi("copyparty")
    port = free_port()
    (deployment.directory / "shared").mkdir()
    deployment.serve(
        programs / "copyparty", "-i", "127.0.0.1", "-p", port, "--idp-h-usr", "remote-user", "--xff-src", "127.0.0.1/32",
        "-v", f"{deployment.directory}/shared::rwmda,@acct", "--no-thumb", "--no-robots", "-q", "--hist", deployment.directory / "hist",
        port=port,
    )
    deployment.guard(port, SITE)


class Peak:
    """How much more memory the gateway has taken at its peak than before."""

    def __init__(self, deployment):
        self.process = Path(f"/proc/{deployment.gateway.process.pid}")

    def __enter__(self):
        # Sets the peak to what is taken now (proc(5)).
        (self.process / "clear_refs").write_text("5")
        self.before = self.read()
        return self

    def __exit__(self, *_):
        self.more = self.read() - self.before

    def read(self):
        line = next(line for line in (self.process / "status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) << 10


def blocks():
    """A gibibyte in which no two blocks are the same."""
    block = hashlib.sha256(b"porch").digest() * (BLOCK // 32)
    for number in range(GIBIBYTE // BLOCK):
        yield number.to_bytes(8, "big") + block[8:]


def signed_in(deployment):
    """A connection, and the fields of a browser's requests, after the first of them."""
    connection = http.client.HTTPConnection("127.0.0.1", deployment.gateway.port, timeout=120)
    fields = {"Host": deployment.gateway.host, "Cookie": deployment.gateway.sign_in(email=ADA, password=PASSWORD)}
    connection.request("GET", "/?ls", headers=fields)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    return connection, fields


def a_gibibyte_up_and_down(deployment):
    sent, received = hashlib.sha256(), hashlib.sha256()

    def up():
        for block in blocks():
            sent.update(block)
            yield block

    connection, fields = signed_in(deployment)
    with Peak(deployment) as peak:
        connection.request("PUT", "/gibibyte", up(), {**fields, "Content-Length": str(GIBIBYTE)})
        answer = connection.getresponse()
        said = answer.read()
    assert answer.status == 201, (answer.status, said)
    print(f"{peak.more >> 10} KiB more on the way up")
    assert peak.more <= ALLOWED
    connection, fields = signed_in(deployment)
    with Peak(deployment) as peak:
        connection.request("GET", "/gibibyte", headers=fields)
        answer = connection.getresponse()
        while block := answer.read(BLOCK):
            received.update(block)
    assert answer.status == 200
    assert received.digest() == sent.digest(), "it came back as something else"
    print(f"{peak.more >> 10} KiB more on the way down")
    assert peak.more <= ALLOWED


def a_webdav_program_past_expiry(deployment):
    (deployment.directory / "text").write_text("A porch.")
    said = cadaver(deployment, "/", ["mkcol lanterns", "cd lanterns", "put text", "ls"])
    assert "text" in said and "fail" not in said.lower(), said
    time.sleep(deployment.lifetime)
    said = cadaver(deployment, "/lanterns/", ["get text back", "delete text", "ls"])
    assert "fail" not in said.lower() and (deployment.directory / "back").read_text() == "A porch.", said
    said = cadaver(deployment, "/lanterns/", ["ls"], password="wrong")
    assert "Authentication" in said or "Could not authenticate" in said, said


if __name__ == "__main__":
    main("a file server (copyparty)", prepare, [a_gibibyte_up_and_down, a_webdav_program_past_expiry])
