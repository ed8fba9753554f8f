"""What is measured, and that it does what it is measured for: it passes requests on, and refuses tokens that are not good."""

import subprocess
from dataclasses import dataclass

HTTP1, HTTP2 = "--http1.1", "--http2"


@dataclass
class Program:
    """One way of using a proxy: where it listens, and the request that it gets."""

    name: str
    process: object
    port: int
    tls: bool = False
    path: str = "/"
    host: str = ""
    # Gives the `Cookie` header.
    cookie: object = None
    authorization: str = ""
    # Gives header lines that stand for `cookie` and `authorization` in requests that must be refused.
    refused: object = list

    def url(self):
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}{self.path}"

    def headers(self):
        lines = [f"Host: {self.host}"] if self.host else []
        lines += [f"Cookie: {self.cookie()}"] if self.cookie else []
        return lines + ([f"Authorization: {self.authorization}"] if self.authorization else [])


def check(program, answer):
    """Ends this program where the other one does not do its work."""
    protocols = {HTTP1: "1.1", HTTP2: "2"} if program.tls else {HTTP1: "1.1"}
    for protocol, version in protocols.items():
        status, spoken, body = ask(program, protocol, program.headers())
        if (status, spoken, body) != ("200", version, answer):
            raise SystemExit(f"{program.name} answered {status} over HTTP/{spoken} with {len(body)} bytes, not 200 with the body")
        for line in program.refused():
            host = [f"Host: {program.host}"] if program.host else []
            status, _, body = ask(program, protocol, [*host, line])
            if status != "401" or answer in body:
                raise SystemExit(f"{program.name} answered {status}, not 401, to a request with {line[:40]}…")


def ask(program, protocol, lines):
    headers = [word for line in lines for word in ("-H", line)]
    command = ["curl", "-4", "-sk", protocol, "--max-time", "20", *headers, "-w", "\n%{http_code} %{http_version}", program.url()]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    body, _, last = said.rpartition("\n")
    status, _, spoken = last.partition(" ")
    return status, spoken, body
