#!/usr/bin/env python3
"""The table of causes in docs/guide/troubleshooting.md, played: causes.py VESTIBULE_BINARY [NAME...].

For each row, a visitor meets the cause. What the row says of the status, the log and the metrics, in backquotes, must be
what the gateway says. Prints `N passed, N failed`.
"""

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gateway import Served, free_port  # noqa: E402
from webdriver import until  # noqa: E402

PAGE = Path(__file__).resolve().parents[2] / "docs/guide/troubleshooting.md"
APPLICATION = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
SECRET = base64.b64encode(os.urandom(32))
CONFIG = """state_dir = "{directory}/state"

[server]
listen = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"

[providers.main]
kind = "fusionauth"
url = "http://127.0.0.1:{provider}"
issuer = "id.test"
api_key = "a-key-of-the-provider"
algorithms = ["HS256"]
hmac_secret = "{secret}"
timeout = "2s"
{store}
[refresh]
ahead = "0s"
reuse_window = "1s"
{more}
[[sites]]
name = "site"
origin = "http://localhost:{port}"
application_id = "{application}"
upstreams = ["{upstream}"]
credential = "{credential}"
"""


class Provider(http.server.BaseHTTPRequestHandler):
    """Speaks FusionAuth's API: one-time refresh tokens, and what a test makes it say."""

    def setup(self):
        super().setup()
        self.state = self.server.state

    def do_GET(self):
        self.answer(200, {"keys": []})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        state = self.state
        if self.path == "/api/login":
            if state.get("login"):
                self.answer(state["login"], None)
            elif body["password"] != "right":
                self.answer(404, None)
            else:
                self.tokens("sid-1")
        elif self.path == "/api/jwt/refresh":
            if state.get("refresh"):
                self.answer(*state["refresh"])
            elif body["refreshToken"] != state["current"]:
                self.answer(400, {"fieldErrors": {"refreshToken": [{"code": "[invalid]refreshToken"}]}})
            else:
                self.tokens("sid-1")
        else:
            self.answer(200, {})

    def tokens(self, sid):
        state = self.state
        state["count"] = state.get("count", 0) + 1
        state["current"] = f"refresh-{state['count']}"
        now = int(time.time()) + state.get("ahead", 0)
        claims = {
            "iss": "id.test", "aud": APPLICATION, "sub": "6c0d1f0e-0000-4000-8000-000000000001", "sid": sid,
            "iat": now, "exp": now + state.get("lifetime", 60), "email": "ada@example.com", "email_verified": True,
        }
        self.answer(200, {"token": token(claims), "refreshToken": state["current"]})

    def answer(self, status, body):
        text = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def token(claims):
    def encode(part):
        return base64.urlsafe_b64encode(part if isinstance(part, bytes) else json.dumps(part).encode()).rstrip(b"=")

    signed = encode({"alg": "HS256", "typ": "JWT"}) + b"." + encode(claims)
    return (signed + b"." + encode(hmac.new(SECRET, signed, hashlib.sha256).digest())).decode()


class Echo(http.server.BaseHTTPRequestHandler):
    """The application."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


def serve(handler, state=None, context=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.state = {} if state is None else state
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


class Case:
    """A gateway of its own, with the provider and the application."""

    def __init__(self, binary, directory, upstream=None, store="", credential="jwt", more="", **state):
        self.state = state
        port, admin = free_port(), free_port()
        config = CONFIG.format(
            directory=directory, port=port, admin=admin, provider=serve(Provider, self.state), secret=SECRET.decode(),
            upstream=upstream or f"http://127.0.0.1:{serve(Echo)}", application=APPLICATION, store=store,
            credential=credential, more=more,
        )
        self.gateway = Served(binary, directory, config, port, admin, f"localhost:{port}")
        self.cookies = {}

    def sign_in(self, password="right"):
        host = self.gateway.host
        _, cookies, form = self.gateway.form(host, "GET")
        csrf = re.search(r'name="csrf" value="([^"]*)"', form)[1]
        body = urllib.parse.urlencode({"loginId": "ada@example.com", "password": password, "csrf": csrf, "return_to": "/"})
        status, cookies, page = self.gateway.form(
            host, "POST", body, Cookie="; ".join(cookies), Origin=f"http://{host}",
            **{"Content-Type": "application/x-www-form-urlencoded"},
        )
        self.keep(cookies)
        return status, page

    def keep(self, cookies):
        for cookie in cookies:
            name, _, value = cookie.partition("=")
            self.cookies[name] = value

    def get(self, more=None, cookies=None):
        """A page, as a browser asks for it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=20)
        sent = "; ".join(f"{name}={value}" for name, value in (cookies or self.cookies).items() if value)
        headers = {"Host": self.gateway.host, "Accept": "text/html", "Sec-Fetch-Mode": "navigate", **(more or {})}
        connection.request("GET", "/orders", headers={**headers, **({"Cookie": sent} if sent else {})})
        answer = connection.getresponse()
        body = answer.read().decode()
        self.keep([value.partition(";")[0] for name, value in answer.getheaders() if name.lower() == "set-cookie"])
        return answer.status, body

    def restart(self, while_down=lambda: None):
        self.gateway.process.terminate()
        self.gateway.process.wait(40)
        while_down()
        self.gateway.start()

    def told(self):
        """The log, and the counters that are not zero."""
        self.gateway.log.flush()
        log = Path(self.gateway.log.name).read_text()
        counters = [line for line in self.gateway.ask("/metrics")[1].splitlines() if not line.endswith(" 0")]
        return log, "\n".join(counters)


def signed_in(binary, directory, **options):
    case = Case(binary, directory, **options)
    assert case.sign_in()[0] == 303
    return case


def without_access(case):
    """The browser after the access token has expired."""
    case.cookies = {name: value for name, value in case.cookies.items() if "access" not in name}
    return case


def wrong_password(binary, directory):
    case = Case(binary, directory)
    return case, case.sign_in("wrong")


def locked(binary, directory):
    case = Case(binary, directory, login=423)
    return case, case.sign_in()


def session_expired(binary, directory):
    case = signed_in(binary, directory)
    case.cookies = {}
    return case, case.get()


def refresh_refused(binary, directory):
    case = without_access(signed_in(binary, directory))
    case.state["current"] = "another"
    return case, case.get()


def reused(binary, directory):
    case = without_access(signed_in(binary, directory))
    old = dict(case.cookies)
    assert case.get()[0] == 200
    time.sleep(1.5)
    without_access(case)
    assert case.get()[0] == 200
    time.sleep(1.5)
    return case, case.get(cookies=old)


def key_lost(binary, directory):
    case = without_access(signed_in(binary, directory))
    case.restart(lambda: [path.unlink() for path in (Path(directory) / "state").glob("cookie*")])
    return case, case.get()


def clock_wrong(binary, directory):
    case = Case(binary, directory, ahead=600)
    return case, case.sign_in()


def redis_lost(binary, directory):
    port = free_port()
    redis = subprocess.Popen(
        ["redis-server", "--port", str(port), "--save", "", "--dir", directory], stdout=subprocess.DEVNULL
    )
    try:
        until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, what="Redis")
        key = base64.b64encode(os.urandom(32)).decode()
        store = f'[store]\nbackend = "redis"\nurl = "redis://127.0.0.1:{port}"\n[cookies]\nkeys = ["{key}"]\n'
        case = signed_in(binary, directory, store=store, credential="session")
        assert case.get()[0] == 200
    finally:
        redis.kill()
        redis.wait()
    # A session that was read less than a second ago is still known.
    time.sleep(1.5)
    return case, case.get()


def upstream_refused(binary, directory):
    case = signed_in(binary, directory, upstream=f"http://127.0.0.1:{free_port()}")
    return case, case.get()


def bad_certificate(binary, directory):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", f"{directory}/app.key", "-out", f"{directory}/app.pem"], check=True, capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{directory}/app.pem", f"{directory}/app.key")
    case = signed_in(binary, directory, upstream=f"https://localhost:{serve(Echo, context=context)}")
    return case, case.get()


def dns(binary, directory):
    case = signed_in(binary, directory, upstream="http://app.invalid:3001")
    return case, case.get()


def too_large(binary, directory):
    case = signed_in(binary, directory)
    return case, case.get({"X-Large": "x" * 17000})


CAUSES = {
    "wrong password": wrong_password,
    "account locked": locked,
    "session expired": session_expired,
    "refresh refused": refresh_refused,
    "refresh token reused": reused,
    "cookie key lost": key_lost,
    "clock wrong": clock_wrong,
    "Redis lost": redis_lost,
    "upstream refuses": upstream_refused,
    "upstream's certificate": bad_certificate,
    "upstream's name (DNS)": dns,
    "request too large": too_large,
}


def rows():
    """The rows of the table, by cause: what the visitor saw, the log, the metrics."""
    text = PAGE.read_text().split("<!-- causes: tests/real/causes.py -->")[1]
    table = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]
    return {row[0]: row[1:4] for row in cells if row[0] in CAUSES}


def missing(said, log, metrics, row):
    """What the row says in backquotes and the gateway does not."""
    status, page = said
    saw, in_log, in_metrics = row
    absent = [word for word in re.findall(r"`([^`]*)`", saw) if not (word == str(status) or word in page)]
    records = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    for words in re.findall(r"`([^`]*)`", in_log):
        wanted = dict(pair.split("=", 1) for pair in words.split(" "))
        if not any(all(value in str(record.get(name, "")) for name, value in wanted.items()) for record in records):
            absent.append(words)
    for words in re.findall(r"`([^`]*)`", in_metrics):
        name, _, label = words.partition("{")
        if not any(line.startswith(name) and label.rstrip("}") in line for line in metrics.splitlines()):
            absent.append(words)
    return absent


def play(binary, name, row):
    with tempfile.TemporaryDirectory(prefix="vestibule-cause-") as directory:
        case, said = CAUSES[name](binary, directory)
        try:
            # A record is written a moment after the response.
            deadline = time.monotonic() + 5
            while True:
                log, metrics = case.told()
                absent = missing(said, log, metrics, row) if row else ["the row"]
                if not absent or time.monotonic() > deadline:
                    break
                time.sleep(0.1)
        finally:
            case.gateway.stop()
    if absent:
        words = re.sub(r"<[^>]*>|\s+", " ", said[1].split("<main", 1)[-1])
        print(f"fault: {name}: not so: {absent}\n  visitor: {said[0]} {' '.join(words.split())[:400]}")
        print("\n".join("  " + line for line in log.splitlines()[-6:]))
        interesting = [line for line in metrics.splitlines() if re.match(r"vestibule_(requests|logins|renew|unexp|upstream_err|provider_req)\w*total", line)]
        print("\n".join("  " + line for line in interesting))
    return not absent


def main():
    known, failed = rows(), 0
    names = sys.argv[2:] or list(CAUSES)
    for name in names:
        try:
            failed += not play(Path(sys.argv[1]).resolve(), name, known.get(name))
        except Exception:
            failed += 1
            print(f"fault: {name}")
            traceback.print_exc()
    print(f"{len(names) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
