#!/usr/bin/env python3
"""The snippets of docs/guide/assertion.md against a gateway: assertion.py VESTIBULE_BINARY [LANGUAGE...].

Those of Python, Node and Ruby run, with PyJWT, jose and ruby-jwt. Each must accept the gateway's assertion and refuse what
is like it. Prints `N passed, N failed`; exits 0 when nothing failed, 1 otherwise, and 77, saying why, where a library
cannot be had."""

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import npm  # noqa: E402
from gateway import Served, free_port, write_users  # noqa: E402
from installed import or_skipped, virtual_environment  # noqa: E402

HERE = Path(__file__).resolve().parent
GUIDE = HERE.parents[1] / "docs" / "guide" / "assertion.md"
CONFIG = """state_dir = "{directory}/state"
[server]
listen = ["127.0.0.1:{port}", "[::1]:{port}"]
admin = "127.0.0.1:{admin}"
[providers.local]
kind = "embedded"
users = "{directory}/users.toml"
[log]
level = "warn"
"""
SITE = """
[[sites]]
name = "{name}"
origin = "http://{host}"
application_id = "{name}"
upstreams = ["http://127.0.0.1:{upstream}"]
assertion = true
"""
PYTHON = """
import sys
for line in sys.stdin:
    try:
        print(verify(line.strip())["sub"])
    except jwt.PyJWTError:
        print("refused")
"""
NODE = """
import { createInterface } from 'node:readline'
for await (const line of createInterface({ input: process.stdin })) {
  console.log(await verify(line).then((claims) => claims.sub, (error) => error.code?.startsWith('ERR_J') ? 'refused' : error))
}
"""
RUBY = """
STDIN.each_line do |line|
  puts verify(line.strip).fetch("sub")
rescue JWT::DecodeError
  puts "refused"
end
"""


class Application(http.server.BaseHTTPRequestHandler):
    """Shows its assertion."""

    def do_GET(self):
        body = (self.headers.get("X-Auth-Assertion") or "").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def ask(port, host, path, cookies=""):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers={"Host": host, "Cookie": cookies})
    return connection.getresponse().read().decode()


def encoded(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def assertions(gateway, hosts):
    """What an application may get: each with whether it is to be accepted."""
    good, of_forum = (ask(gateway.port, host, "/", gateway.sign_in(host)) for host in hosts)
    header, payload, signature = good.split(".")
    claims = json.loads(decoded(payload))
    other = encoded(json.dumps({**claims, "sub": "somebody else"}).encode())
    flipped = bytearray(decoded(signature))
    flipped[7] ^= 1
    none = encoded(json.dumps({"alg": "none"}).encode())
    key = ask(gateway.port, hosts[0], "/.well-known/vestibule/jwks.json")
    kid = json.loads(decoded(header)).get("kid")
    symmetric = encoded(json.dumps({"alg": "HS256", "kid": kid}).encode()) + "." + payload
    mac = hmac.digest(json.dumps(json.loads(key)["keys"][0]).encode(), symmetric.encode(), hashlib.sha256)
    return claims["sub"], {
        "the gateway's": (good, True),
        "another user's": (f"{header}.{other}.{signature}", False),
        "a wrong signature": (f"{header}.{payload}.{encoded(bytes(flipped))}", False),
        "no signature": (f"{none}.{payload}.", False),
        "a signature with the public key as a secret": (f"{symmetric}.{encoded(mac)}", False),
        "that of another site": (of_forum, False),
        "no JWT": ("x", False),
    }


def languages(directory):
    """The command of each language for a file with its snippet, and what reads assertions from its input."""
    programs = or_skipped("PyJWT", virtual_environment, "pyjwt-venv", HERE / "requirements-pyjwt.txt")
    packages = npm.install("jose", "jose")
    return {
        "Python": ([programs / "python"], directory / "verify.py", PYTHON),
        "Node": (["node"], packages / "verify.mjs", NODE),
        "Ruby": (["ruby"], directory / "verify.rb", RUBY),
    }


def snippet(language, origin):
    text = GUIDE.read_text()
    code = re.search(rf"^## {language}\n.*?^```\w+\n(.*?)^```", text, re.M | re.S)[1]
    return code.replace("https://store.example.com", origin)


def main():
    binary, *only = sys.argv[1:]
    upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-assertion-") as directory:
        directory = Path(directory)
        port, admin = free_port(), free_port()
        hosts = [f"localhost:{port}", f"forum.localhost:{port}"]
        config = CONFIG.format(directory=directory, port=port, admin=admin)
        for name, host in zip(["store", "forum"], hosts):
            config += SITE.format(name=name, host=host, upstream=upstream.server_address[1])
        write_users(binary, directory / "users.toml", "5m")
        gateway = Served(binary, directory, config, port, admin, hosts[0])
        try:
            user, cases = assertions(gateway, hosts)
            for language, (command, file, reader) in languages(directory).items():
                if only and language not in only:
                    continue
                file.write_text(snippet(language, f"http://{hosts[0]}") + reader)
                lines = "".join(f"{assertion}\n" for assertion, _ in cases.values())
                ran = subprocess.run([*command, file], input=lines, capture_output=True, text=True, timeout=60)
                said = ran.stdout.splitlines() + ["nothing"] * len(cases)
                for (what, (_, is_good)), answer in zip(cases.items(), said):
                    if answer == (user if is_good else "refused"):
                        passed += 1
                    else:
                        failed += 1
                        print(f"FAILED: {language}: {what}: {answer}\n{ran.stderr}")
        finally:
            gateway.stop()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
