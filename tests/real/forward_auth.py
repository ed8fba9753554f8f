#!/usr/bin/env python3
"""Debian's nginx and Caddy, and Envoy, in front of an application, asking a gateway about each request:
forward_auth.py VESTIBULE_BINARY.

The proxies' configurations are those of docs/guide/forward-auth.md, with other addresses. Prints `N passed, N failed`.
"""

import asyncio
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gateway import EMAIL, PASSWORD, Served, free_port, write_users  # noqa: E402
from installed import envoy_program, or_skipped  # noqa: E402

HERE = Path(__file__).resolve().parent
GUIDE = HERE.parents[1] / "docs/guide/forward-auth.md"
HOST = "store.example.com"
# Whole seconds: one that lives for one may have ended when it arrives.
LIFETIME = 2
IDENTITY = ["X-Auth-User-Id", "X-Auth-Email", "X-Auth-Username", "X-Auth-Roles", "X-Auth-Site"]
RULES = """
[[sites.rules]]
path = "/optional/*"
access = "optional"

[[sites.rules]]
path = "/admin/*"
access = "required"
roles = ["admin"]
"""


def block(language):
    """The configuration of the guide in this language."""
    return re.search(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1]


def replaced(text, pairs):
    """The text with each of these replaced, which all have to be there."""
    for old, new in pairs:
        if old not in text:
            raise SystemExit(f"the guide has no {old!r}")
        text = text.replace(old, new)
    return text


async def application(reader, writer):
    """Tells what it was sent, as JSON; echoes what follows a WebSocket handshake."""
    try:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
            line, *fields = head.rstrip("\r\n").split("\r\n")
            fields = [[name.lower(), value.strip()] for name, _, value in (field.partition(":") for field in fields)]
            named = dict(fields)
            if named.get("upgrade", "").lower() == "websocket":
                user = named.get("x-auth-email", "")
                writer.write(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                    f"X-Seen: {user}\r\n\r\n".encode()
                )
                while data := await reader.read(1024):
                    writer.write(data)
                break
            body = await reader.readexactly(int(named.get("content-length", 0)))
            if named.get("transfer-encoding") == "chunked":
                while size := int((await reader.readline()).strip() or b"0", 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readline()
            told = json.dumps({"line": line, "fields": fields, "body": body.decode()}).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: public, max-age=60\r\n"
                b"Set-Cookie: basket=7; Path=/\r\n" + f"Content-Length: {len(told)}\r\n\r\n".encode() + told
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, ValueError):
        pass
    writer.close()


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.body = status, body.decode("utf-8", "replace")
        self.fields = [(name.lower(), value) for name, value in fields]

    def all(self, name):
        return [value for have, value in self.fields if have == name]

    def one(self, name):
        return (self.all(name) or [None])[0]

    def seen(self, name):
        """What the application was sent under this name."""
        return [value for have, value in json.loads(self.body)["fields"] if have == name.lower()]

    def reached(self):
        """Whether the application answered."""
        return self.body.startswith('{"line"')


class Visitor:
    """A browser at a proxy, which trusts any certificate."""

    def __init__(self, port):
        self.port, self.cookies = port, {}
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return self.context.wrap_socket(plain, server_hostname=HOST)

    def ask(self, path, fields=(), method="GET", body=None, navigates=True):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.context)
        connection.sock = self.connect()
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        sent = [("Host", HOST), ("Sec-Fetch-Mode", "navigate" if navigates else "cors")]
        sent.append(("Accept", "text/html" if navigates else "application/json"))
        if self.cookies:
            sent.append(("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        if body is not None:
            sent.append(("Content-Length", str(len(body))))
        for name, value in [*sent, *fields]:
            connection.putheader(name, value)
        connection.endheaders(body.encode() if body else None)
        answer = connection.getresponse()
        answer = Answer(answer.status, answer.getheaders(), answer.read())
        connection.close()
        for line in answer.all("set-cookie"):
            pair, _, attributes = line.partition(";")
            name, _, value = pair.partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in attributes:
                del self.cookies[name]
        return answer

    def raw(self, head):
        """The whole answer to these bytes."""
        with self.connect() as stream:
            stream.sendall(head.encode("latin-1"))
            answer = b""
            try:
                while more := stream.recv(65536):
                    answer += more
            except (OSError, ssl.SSLError):
                pass
        return answer.decode("latin-1")

    def sign_in(self, return_to="/"):
        form = self.ask("/login")
        csrf = re.search(r'name="csrf" value="([^"]*)"', form.body)
        assert form.status == 200 and csrf, f"the form: {form.status} {form.body[:200]}"
        fields = {"loginId": EMAIL, "password": PASSWORD, "csrf": csrf[1], "return_to": return_to}
        kind = [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", f"https://{HOST}")]
        answer = self.ask("/login", kind, "POST", urllib.parse.urlencode(fields))
        assert answer.status == 303, f"the sign-in: {answer.status} {answer.body[:200]}"
        return answer.one("location")


class Proxy:
    """A proxy with the guide's configuration, on a port of its own."""

    def __init__(self, name, command, directory):
        self.name, self.port, self.directory = name, None, directory
        self.log = open(directory / f"{name}.log", "w")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=directory)

    def listens_at(self, port):
        self.port = port
        deadline = time.monotonic() + 30
        while True:
            try:
                Visitor(port).ask("/_vestibule/health")
                return self
            except (OSError, http.client.HTTPException):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.process.kill()
                    raise SystemExit(f"{self.name}: {(self.directory / f'{self.name}.log').read_text()[-3000:]}") from None
                time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def nginx(directory, addresses, certificate):
    port = free_port()
    site = replaced(
        block("nginx"),
        [
            ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
            ("/etc/ssl/store.pem", str(certificate[0])),
            ("/etc/ssl/store.key", str(certificate[1])),
            *addresses,
        ],
    )
    temporary = "\n".join(f"{kind}_temp_path {directory}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    file = directory / "nginx.conf"
    file.write_text(
        f"master_process off;\ndaemon off;\npid {directory}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\nclient_body_temp_path {directory}/body;\n{temporary}\n{site}\n}}\n"
    )
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    return Proxy("nginx", [program, "-p", directory, "-e", "stderr", "-c", file], directory).listens_at(port)


def caddy(directory, addresses, certificate):
    port = free_port()
    site = replaced(
        block("caddyfile"),
        [
            (f"{HOST} {{\n", f"https://{HOST}:{port} {{\n\ttls {certificate[0]} {certificate[1]}\n"),
            *addresses,
        ],
    )
    file = directory / "Caddyfile"
    file.write_text("{\n\tadmin off\n\tauto_https off\n\tskip_install_trust\n}\n" + site)
    command = ["env", f"HOME={directory}", "caddy", "run", "--adapter", "caddyfile", "--config", file]
    # Visitors name no port, as they do where it is 443.
    return Proxy("caddy", command, directory).listens_at(port)


def envoy(directory, addresses, certificate):
    port = free_port()
    text = replaced(
        block("yaml"),
        [
            ("address: 0.0.0.0, port_value: 443", f"address: 127.0.0.1, port_value: {port}"),
            ("/etc/ssl/store.pem", str(certificate[0])),
            ("/etc/ssl/store.key", str(certificate[1])),
            *[(old.replace("127.0.0.1:", "127.0.0.1, port_value: "), new.replace("127.0.0.1:", "127.0.0.1, port_value: ")) for old, new in addresses],
        ],
    )
    file = directory / "envoy.yaml"
    file.write_text(text)
    command = [envoy_program(), "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "-l", "warn"]
    return Proxy("envoy", command, directory).listens_at(port)


class House:
    """A gateway for one proxy, and the proxy."""

    def __init__(self, binary, start, directory, upstream, certificate):
        directory.mkdir()
        write_users(binary, directory / "users.toml", f"{LIFETIME}s")
        port, admin = free_port(), free_port()
        guide = replaced(block("toml"), [('listen = ["127.0.0.1:8080"]', f'listen = ["127.0.0.1:{port}"]\nadmin = "127.0.0.1:{admin}"')])
        provider = f'[providers.local]\nkind = "embedded"\nusers = "{directory}/users.toml"\nleeway = "0s"\n'
        config = f'state_dir = "{directory}/state"\n{guide}{RULES}{provider}\n'
        self.gateway = Served(binary, directory, config, port, admin, HOST)
        addresses = [("127.0.0.1:8080", f"127.0.0.1:{port}"), ("127.0.0.1:3001", f"127.0.0.1:{upstream}")]
        try:
            self.proxy = start(directory, addresses, certificate)
        except SystemExit:
            self.gateway.stop()
            raise

    def visitor(self):
        return Visitor(self.proxy.port)

    def stop(self):
        self.proxy.stop()
        self.gateway.stop()


def a_visit_from_the_form_to_the_sign_out(house):
    visitor = house.visitor()
    refused = visitor.ask("/orders?page=2&x=%2F")
    assert refused.status == 302, refused.status
    location = urllib.parse.urlsplit(refused.one("location"))
    assert location.netloc in ("", HOST) and location.path == "/login", location
    return_to = urllib.parse.parse_qs(location.query)["return_to"][0]
    assert visitor.sign_in(return_to) == "/orders?page=2&x=%2F"
    page = visitor.ask("/orders?page=2&x=%2F")
    assert page.status == 200 and page.reached(), f"{page.status} {page.body}"
    assert json.loads(page.body)["line"] == "GET /orders?page=2&x=%2F HTTP/1.1", page.body
    assert page.seen("x-auth-email") == [EMAIL] and page.seen("x-auth-site") == ["store"], page.body
    assert not page.all("x-auth-email"), "the visitor is told"
    assert visitor.cookies["basket"] == "7", "the application's own cookie"
    again = visitor.ask("/orders")
    assert again.seen("cookie") == ["basket=7"], again.seen("cookie")
    sign_out = visitor.ask("/logout", [("Origin", f"https://{HOST}")], "POST", "")
    assert sign_out.status == 303, sign_out.status
    assert not [name for name in visitor.cookies if "access" in name or "refresh" in name], visitor.cookies
    assert visitor.ask("/orders").status == 302


def a_renewal_reaches_the_browser(house):
    visitor = house.visitor()
    visitor.sign_in()
    before = dict(visitor.cookies)
    time.sleep(LIFETIME + 0.1)
    page = visitor.ask("/orders")
    assert page.status == 200 and page.seen("x-auth-email") == [EMAIL], f"{page.status} {page.body}"
    changed = sorted(name for name in before if visitor.cookies.get(name) != before[name])
    assert changed == ["__Host-vestibule-access", "__Host-vestibule-refresh"], page.all("set-cookie")
    assert "basket" in visitor.cookies
    if house.proxy.name != "envoy":
        assert "no-store" in ", ".join(page.all("cache-control")), page.fields
    time.sleep(LIFETIME + 0.1)
    assert visitor.ask("/orders").status == 200, "the new refresh token is no good"


def a_post_reaches_the_application_whole(house):
    visitor = house.visitor()
    visitor.sign_in()
    text = "a=1&b=" + "x" * 100_000
    page = visitor.ask("/orders", [("Origin", f"https://{HOST}")], "POST", text)
    told = json.loads(page.body)
    assert page.status == 200 and told["body"] == text and told["line"].startswith("POST /orders"), page.status
    stranger = [("Origin", "https://elsewhere.example")]
    assert visitor.ask("/orders", stranger, "POST", "a=1").status == 403
    assert house.visitor().ask("/orders", [], "POST", "a=1", navigates=False).status == 401


def roles_and_scripts_get_a_status(house):
    visitor = house.visitor()
    script = visitor.ask("/orders", navigates=False)
    assert script.status == 401 and script.one("www-authenticate") and not script.one("location"), script.fields
    visitor.sign_in()
    assert visitor.ask("/admin/users").status == 403
    assert visitor.ask("/admin/users", navigates=False).status == 403
    assert visitor.ask("/api/user", navigates=False).status == 200


def spellings(name):
    folded = name.replace("-", "_")
    return [name, name.lower(), name.upper(), folded, name.replace("-", "_", 1), folded.lower(), name.replace("-", "."), name.replace("-", "~", 1)]


def forged_headers_do_not_arrive(house):
    signed_in = house.visitor()
    signed_in.sign_in()
    for visitor in (house.visitor(), signed_in):
        for name in [*IDENTITY, "X-Auth-Assertion", "X-Auth-Anything"]:
            for spelling in spellings(name):
                for path in ("/", "/optional/page"):
                    page = visitor.ask(path, [(spelling, "forged"), (spelling, "forged-too")])
                    if page.status == 400:
                        continue
                    assert page.status == 200, f"{spelling}: {page.status}"
                    # Applications take every character for `-`.
                    fields = json.loads(page.body)["fields"]
                    folded = [(re.sub("[^a-z0-9]", "-", have), value) for have, value in fields]
                    bad = [(have, value) for have, value in folded if "forged" in value and have.startswith("x-auth-") and have != "x-auth-anything"]
                    assert not bad, f"{spelling} at {path}: {bad}"


def what_the_proxy_says_cannot_be_forged(house):
    """A visitor who is not signed in gets to no page by what the request says of itself."""
    lies = [
        ("X-Forwarded-Uri", "/"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Forwarded-Host", "elsewhere.example"),
        ("X-Original-URL", f"https://{HOST}/"),
        ("X-Original-URL", "/"),
        ("X-Original-URI", "/"),
        ("X-Original-Method", "GET"),
        ("X-Rewrite-URL", "/"),
        ("x-envoy-original-path", "/"),
        ("Connection", "X-Original-URL, X-Forwarded-Uri, Cookie"),
    ]
    for lie in [[lie] for lie in lies] + [lies]:
        page = house.visitor().ask("/orders", lie)
        assert not page.reached() and page.status in (302, 400, 401, 403), f"{lie}: {page.status} {page.body}"
    for target in ("/../orders", "/x/../orders", "/%2e%2e/orders", "//orders", "/optional/..%2forders", "/optional/..;/orders",
                   "/optional/%252e%252e/orders", "/optional\\..\\orders", "/;/orders", "/optional//../orders"):
        said = house.visitor().raw(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")
        assert '{"line"' not in said, f"{target}: {said}"
    for line in (f"GET http://{HOST}/orders HTTP/1.1", "get /orders HTTP/1.1", "GET /orders HTTP/1.0"):
        said = house.visitor().raw(f"{line}\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")
        assert '{"line"' not in said, f"{line}: {said}"


def clients_cannot_ask_themselves(house):
    visitor = house.visitor()
    visitor.sign_in()
    told = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/orders"), ("X-Original-Method", "GET"), ("X-Original-URL", "/orders")]
    for path in ("/_vestibule/auth", "/_vestibule/auth?x", "/_vestibule/auth/orders", "/_vestibule/%61uth", "/_vestibule//auth"):
        answer = visitor.ask(path, told)
        assert answer.status in (400, 403, 404), f"{path}: {answer.status}"
        assert not answer.all("x-auth-email") and not answer.all("cookie"), f"{path}: {answer.fields}"


def web_sockets_pass(house):
    visitor = house.visitor()
    visitor.sign_in()

    def shake(origin, cookies):
        head = (
            f"GET /live HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: {origin}\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: {cookies}\r\n\r\n"
        )
        stream = visitor.connect()
        stream.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer and (more := stream.recv(65536)):
            answer += more
        return stream, answer.decode("latin-1")

    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    stream, head = shake(f"https://{HOST}", cookies)
    assert " 101 " in head.splitlines()[0] and EMAIL in head, head
    stream.sendall(b"\x81\x85\0\0\0\0there")
    assert stream.recv(100) == b"\x81\x85\0\0\0\0there"
    stream.close()
    for origin, cookies in (("https://elsewhere.example", cookies), (f"https://{HOST}", "basket=7")):
        stream, head = shake(origin, cookies)
        assert " 101 " not in head.splitlines()[0], head
        stream.close()


def an_answer_with_much_in_it_arrives(house):
    """The gateway's answer repeats the client's cookies."""
    visitor = house.visitor()
    visitor.sign_in()
    visitor.cookies |= {f"big{at}": "x" * 900 for at in range(6)}
    page = visitor.ask("/orders")
    assert page.status == 200 and len(page.seen("cookie")[0]) > 5400, f"{page.status} {page.body[:300]}"


def a_gateway_that_is_gone_permits_nothing(house):
    house.gateway.stop()
    page = house.visitor().ask("/")
    assert page.status in (500, 502, 503) and not page.reached(), page.status


SCENARIOS = [
    a_visit_from_the_form_to_the_sign_out,
    a_renewal_reaches_the_browser,
    a_post_reaches_the_application_whole,
    roles_and_scripts_get_a_status,
    forged_headers_do_not_arrive,
    what_the_proxy_says_cannot_be_forged,
    clients_cannot_ask_themselves,
    web_sockets_pass,
    an_answer_with_much_in_it_arrives,
    a_gateway_that_is_gone_permits_nothing,
]


def self_signed(directory):
    certificate, key = directory / "store.pem", directory / "store.key"
    subject = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", *subject]
    subprocess.run([*new, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key


async def play(binary, names):
    upstream = await asyncio.start_server(application, "127.0.0.1", 0, backlog=1024, limit=1 << 20)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-forward-auth-") as directory:
        directory = Path(directory)
        certificate = self_signed(directory)
        for start in [nginx, caddy, envoy]:
            if names and start.__name__ not in names:
                continue
            port = upstream.sockets[0].getsockname()[1]
            house = await asyncio.to_thread(House, binary, start, directory / start.__name__, port, certificate)
            for scenario in SCENARIOS:
                name = f"{start.__name__}: {scenario.__name__.replace('_', ' ')}"
                try:
                    await asyncio.to_thread(scenario, house)
                    print(f"ok: {name}", flush=True)
                    passed += 1
                except (AssertionError, OSError, ValueError, http.client.HTTPException) as fault:
                    print(f"FAILED: {name}: {type(fault).__name__}: {fault}", flush=True)
                    failed += 1
            await asyncio.to_thread(house.stop)
    print(f"{passed} passed, {failed} failed")
    return failed == 0


def main():
    if not shutil.which("caddy"):
        print("skipped: caddy is needed")
        sys.exit(77)
    or_skipped("Envoy", envoy_program)
    sys.exit(0 if asyncio.run(play(sys.argv[1], sys.argv[2:])) else 1)


if __name__ == "__main__":
    main()
