"""The gateway under load, and visits to it: requests that are signed in with a token, with a session, by Basic and with a
service token, and public ones; and the same over TLS."""

import base64
import http.client
import re
import ssl
import subprocess
import time
from functools import partial

from checks import HTTP1, Program, ask
from processes import Process
from proxies import ACCESS_COOKIE, free_port
from tokens import tampered

from gateway import EMAIL, PASSWORD, Gateway

SIGNED_IN, SESSION, PUBLIC = "vestibule, signed in", "vestibule, session", "vestibule, public"
BASELINE = "baseline "
BASIC, SERVICE_TOKEN = "vestibule, Basic", "vestibule, service token"
SITES = """
[[server.tls]]
listen = "127.0.0.1:{tls}"

[[server.tls.certificates]]
cert = "{certificate}"
key = "{key}"

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

[[sites]]
name = "secure"
origin = "https://localhost:{tls}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
upstreams = ["http://127.0.0.1:{{upstream}}"]
"""


class Listening(Gateway):
    """A gateway with a TLS listener, too."""

    def __init__(self, binary, setup):
        setup.directory.mkdir(parents=True)
        made = subprocess.run([binary, "tokens", "new"], capture_output=True, text=True, check=True).stdout
        self.service_token, hashed = made.split()[0], re.search(r'sha256 = "(.*?)"', made)[1]
        self.tls = free_port()
        sites = SITES.format(tls=self.tls, certificate=setup.keys.certificate, key=setup.keys.certificate_key, hash=hashed)
        super().__init__(binary, setup.directory, setup.upstream, "1h", setup.workers, sites)

    def origin(self, host):
        return f"https://{host}" if host == f"localhost:{self.tls}" else super().origin(host)

    def connection(self, host):
        if host != f"localhost:{self.tls}":
            return super().connection(host)
        # The certificate is its own authority, and the measured clients do not verify it either.
        unverified = ssl._create_unverified_context()
        return http.client.HTTPSConnection("localhost", self.tls, timeout=20, context=unverified)


class SignedInCookies:
    """The `Cookie` header of someone who is signed in, always so lately that no request brings a refresh."""

    def __init__(self, gateway, host):
        self.gateway, self.host, self.since = gateway, host, None

    def __call__(self):
        if self.since is None or time.monotonic() - self.since > 600:
            self.cookies, self.since = self.gateway.sign_in(self.host), time.monotonic()
        return self.cookies

    def token(self):
        return re.search(rf"{ACCESS_COOKIE}=([^;]*)", self())[1]

    def refused(self):
        """Header lines of requests that must be refused: with the first cookie tampered with, and without any."""
        name, _, value = self().partition(";")[0].partition("=")
        return [f"Cookie: {name}={tampered(value)}", "Accept: */*"]


def start(binary, setup, version=""):
    """The gateway's process as the programs in the clear, and the one with TLS."""
    gateway = Listening(binary, setup)
    try:
        process = Process(f"{version}vestibule", gateway.process, gateway.port)
        # Before the first sign-in: the hash of a password takes 19 MiB, which the allocator keeps for a while.
        time.sleep(3)
        process.idle_mib = process.resident_mib()
        return [*with_cookies(gateway, process, version), *without_cookies(gateway, process, version)]
    except BaseException:
        gateway.stop()
        raise


def with_cookies(gateway, process, version):
    plain, sessions, secure = (f"localhost:{gateway.port}", f"sessions.localhost:{gateway.port}", f"localhost:{gateway.tls}")
    cookies = {host: SignedInCookies(gateway, host) for host in (plain, sessions, secure)}

    def visitor(name, site, port, **more):
        return Program(version + name, process, port, cookie=cookies[site], **more)

    return [
        visitor(SIGNED_IN, plain, gateway.port, host=plain, refused=cookies[plain].refused),
        visitor(SESSION, sessions, gateway.port, host=sessions, refused=cookies[sessions].refused),
        visitor(PUBLIC, plain, gateway.port, host=plain, path="/public"),
        # The host is that of the URL, and h2load must send no other one.
        visitor(SIGNED_IN, secure, gateway.tls, tls=True, refused=cookies[secure].refused),
    ]


def without_cookies(gateway, process, version):
    """Programs have no cookies. One of the application would be forwarded, at a cost that those of the gateway have not."""
    host = f"programs.localhost:{gateway.port}"
    right, wrong = (base64.b64encode(f"{EMAIL}:{word}".encode()).decode() for word in (PASSWORD, "another password"))
    authorizations = {BASIC: (f"Basic {right}", f"Basic {wrong}")}
    authorizations[SERVICE_TOKEN] = (f"Bearer {gateway.service_token}", f"Bearer {gateway.service_token[::-1]}")
    programs = []
    for name, (accepted, other) in authorizations.items():
        refused = partial(list, [f"Authorization: {other}", "Accept: */*"])
        programs.append(Program(version + name, process, gateway.port, host=host, authorization=accepted, refused=refused))
    # The first request asks the identity server, which takes its time for a password.
    deadline = time.monotonic() + 20
    while ask(programs[0], HTTP1, programs[0].headers())[0] != "200" and time.monotonic() < deadline:
        time.sleep(0.1)
    return programs
