"""The proxies beside the gateway: nginx, plain Pingora, HAProxy and Envoy. Those that verify a token get one with the claims
of the gateway's, in the cookie that holds the gateway's."""

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from checks import Program
from processes import Process
from tokens import claims_of, tampered

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "real"))
from gateway import free_port  # noqa: E402
from installed import Skipped, envoy_program  # noqa: E402

ACCESS_COOKIE = "vestibule-access"
ANSWER = "x" * 1024
NGINX, PLAIN, PLAIN_MIMALLOC = "nginx", "plain Pingora", "plain Pingora, mimalloc"
HAPROXY_HS256, ENVOY = "HAProxy, HS256", "Envoy, cached ES256"


@dataclass
class Setup:
    """Where the proxies run: a directory for their files, the keys, the upstream's port and the number of workers."""

    directory: Path
    keys: object
    upstream: int
    workers: int

    def file(self, template, name, **words):
        """Writes the template with these words in it."""
        text = (HERE / template).read_text()
        for word, value in words.items():
            text = text.replace(f"@{word}@", str(value))
        path = self.directory / name
        path.write_text(text)
        return path

    def below(self, name):
        return replace(self, directory=self.directory / name)

    def nginx(self, name, server):
        words = {"DIR": self.directory, "NAME": name, "WORKERS": self.workers, "SERVER": server}
        file = self.file("nginx.conf", f"{name}.conf", **words)
        return [program("nginx"), "-e", f"{self.directory}/{name}.log", "-p", str(self.directory), "-c", str(file)]


def program(name):
    """Where a daemon of Debian is, which is outside the PATH of ordinary users."""
    found = shutil.which(name) or f"/usr/sbin/{name}"
    if not Path(found).exists():
        raise Skipped("it is not installed")
    return found


def is_installed(name):
    return shutil.which(name) is not None


def upstream(setup, status):
    """The application, and a page on the port `status` that counts its requests."""
    server = (
        f'server {{ listen 127.0.0.1:{setup.upstream} backlog=4096; location / {{ return 200 "{ANSWER}"; }} }} '
        f"server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }}"
    )
    return Process("upstream", setup.nginx("upstream", server), setup.upstream)


def nginx(setup, visitor):
    """nginx in the clear, and with TLS."""
    clear, tls = free_port(), free_port()
    pass_on = 'location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }'
    server = (
        f"upstream app {{ server 127.0.0.1:{setup.upstream}; keepalive 4096; keepalive_timeout 10m; "
        "keepalive_requests 1000000000; } "
        f"server {{ listen 127.0.0.1:{clear} backlog=4096; {pass_on} }} "
        f"server {{ listen 127.0.0.1:{tls} ssl http2 backlog=4096; ssl_protocols TLSv1.2 TLSv1.3; "
        f"ssl_certificate {setup.keys.certificate}; ssl_certificate_key {setup.keys.certificate_key}; {pass_on} }}"
    )
    process = Process(NGINX, setup.nginx("proxy", server), clear)
    return [Program(NGINX, process, clear, cookie=visitor), Program(NGINX, process, tls, tls=True, cookie=visitor)]


def plain(setup, visitor, examples, name):
    """The minimal Pingora proxy, on either allocator."""
    port = free_port()
    example = "plain_proxy_mimalloc" if name == PLAIN_MIMALLOC else "plain_proxy"
    command = [examples / example, f"127.0.0.1:{port}", f"127.0.0.1:{setup.upstream}", str(setup.workers)]
    return [Program(name, Process(name, command, port), port, cookie=visitor)]


def haproxy(setup, visitor, algorithm):
    """HAProxy with one thread."""
    port, key = free_port(), setup.keys.secret if algorithm == "HS256" else setup.keys.public_key(algorithm)
    words = {"PORT": port, "COOKIE": ACCESS_COOKIE, "ALGORITHM": algorithm, "KEY": key, "UPSTREAM": setup.upstream}
    file = setup.file("haproxy.cfg", f"haproxy-{algorithm}.cfg", **words, **issuer(visitor))
    daemon = program("haproxy")
    tried = subprocess.run([daemon, "-c", "-f", file], capture_output=True, text=True)
    if tried.returncode:
        alerts = [line for line in (tried.stdout + tried.stderr).splitlines() if "ALERT" in line]
        raise Skipped(alerts[0] if alerts else f"its check of the configuration ended with {tried.returncode}")
    name = f"HAProxy, {algorithm}"
    cookies = ResignedCookies(setup.keys, visitor, algorithm)
    process = Process(name, [daemon, "-db", "-q", "-f", file], port)
    return [Program(name, process, port, cookie=cookies, refused=cookies.refused)]


def envoy(setup, visitor):
    """Envoy with one worker, and the JWT filter's cache."""
    daemon, port = envoy_program(), free_port()
    words = {"PORT": port, "COOKIE": ACCESS_COOKIE, "JWKS": setup.keys.jwks(), "UPSTREAM": setup.upstream}
    file = setup.file("envoy.yaml", "envoy.yaml", **words, **issuer(visitor))
    command = [daemon, "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]
    cookies = ResignedCookies(setup.keys, visitor, "ES256")
    return [Program(ENVOY, Process(ENVOY, command, port), port, cookie=cookies, refused=cookies.refused)]


def issuer(visitor):
    claims = claims_of(visitor.token())
    return {"ISSUER": claims["iss"], "AUDIENCE": claims["aud"]}


class ResignedCookies:
    """The cookies of a visitor, with another signature of the token."""

    def __init__(self, keys, visitor, algorithm):
        self.keys, self.visitor, self.algorithm = keys, visitor, algorithm

    def token(self, **more):
        return self.keys.signed_again(self.visitor.token(), self.algorithm, **more)

    def __call__(self):
        return self.visitor().replace(self.visitor.token(), self.token())

    def refused(self):
        """Header lines of requests that must be refused: with a tampered token, an expired one, and none."""
        tokens = tampered(self.token()), self.token(lifetime=-3600)
        return [*(f"Cookie: {ACCESS_COOKIE}={token}" for token in tokens), "Accept: */*"]
