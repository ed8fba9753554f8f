#!/usr/bin/env python3
"""The snippets of docs/guide/assertion.md against a gateway: assertion.py VESTIBULE_BINARY [LANGUAGE...].

Each must accept the gateway's assertion and refuse what is like it, also what the gateway's own key signed. Prints
`N passed, N failed`; exits 0 when nothing failed, 1 otherwise, and 77 where a language or a library cannot be had, saying
why."""

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import verifiers  # noqa: E402
from gateway import Served, free_port, write_users  # noqa: E402
from installed import Skipped, or_skipped, virtual_environment  # noqa: E402

HERE = Path(__file__).resolve().parent
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
# Makes JWTs of a list of [header, claims, PKCS #8 in base64 or nothing for a key of its own, low, high]. The first two bytes
# of the signature's second number lie between low and high.
SIGNER = """
import base64, json, sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
encoded = lambda value: base64.urlsafe_b64encode(value).rstrip(b"=")
for header, claims, key, low, high in json.load(sys.stdin):
    der = base64.b64decode(key)
    key = serialization.load_der_private_key(der, None) if key else ec.generate_private_key(ec.SECP256R1())
    message = b".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    first = -1
    while not low <= first <= high:
        numbers = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
        signature = b"".join(number.to_bytes(32, "big") for number in numbers)
        first = int.from_bytes(signature[32:34], "big")
    print((message + b"." + encoded(signature)).decode())
"""

# What a library accepts although it should not, and which lets nobody in: the gateway's own signature, written otherwise.
TOLERATED = {("Ruby", "a signature without that zero")}


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


def assertions(gateway, hosts, python):
    """What an application may get: each with whether it is to be accepted."""
    good, of_forum = (ask(gateway.port, host, "/", gateway.sign_in(host)) for host in hosts)
    header, payload, signature = good.split(".")
    claims = json.loads(decoded(payload))
    other = encoded(json.dumps({**claims, "sub": "somebody else"}).encode())
    flipped = bytearray(decoded(signature))
    flipped[7] ^= 1
    jwk = json.loads(ask(gateway.port, hosts[0], "/.well-known/vestibule/jwks.json"))["keys"][0]
    kid = json.loads(decoded(header)).get("kid")
    none = encoded(json.dumps({"alg": "none"}).encode())
    none_of_gateway = encoded(json.dumps({"alg": "none", "kid": kid}).encode())
    listed = encoded(json.dumps({"alg": "ES256", "kid": [kid]}).encode())
    symmetric = encoded(json.dumps({"alg": "HS256", "kid": kid}).encode()) + "." + payload
    mac = hmac.digest(json.dumps(jwk).encode(), symmetric.encode(), hashlib.sha256)
    return claims["sub"], {
        "the gateway's": (good, True),
        "another user's": (f"{header}.{other}.{signature}", False),
        "a wrong signature": (f"{header}.{payload}.{encoded(bytes(flipped))}", False),
        "a signature of zeros": (f"{header}.{payload}.{encoded(bytes(64))}", False),
        "an empty signature": (f"{header}.{payload}.", False),
        "no signature": (f"{none}.{payload}.", False),
        "no signature with the key's id": (f"{none_of_gateway}.{payload}.", False),
        "a signature with the public key as a secret": (f"{symmetric}.{encoded(mac)}", False),
        "that of another site": (of_forum, False),
        "no JWT": ("x", False),
        "nothing": ("", False),
        "one without its last part": (f"{header}.{payload}", False),
        "one with another part": (f"{good}.{signature}", False),
        "three parts without base64": ("%.%.%", False),
        "three parts without JSON": (".".join([encoded(b"x")] * 3), False),
        "a header that is no object": (f"{encoded(b'[]')}.{payload}.{signature}", False),
        "a key's id that is no text": (f"{listed}.{payload}.{signature}", False),
        **signed_here(python, gateway.directory / "state" / "assertion.key", kid, claims),
    }


def signed_here(python, gateway_key, kid, claims):
    """What the gateway does not make: with claims of all kinds under its own key, and with another key."""
    key, past = gateway_key.read_text().strip(), int(time.time()) - 5
    header = {"alg": "ES256", "kid": kid}
    cases = {
        "one signed here": (True, header, claims),
        "a signature with a leading zero": (True, header, claims, key, 0, 0x7F),
        "a signature with a leading one": (True, header, claims, key, 0xFF00, 0xFFFF),
        "an expired one": (False, header, {**claims, "iat": past - 300, "exp": past}),
        "one that never expires": (False, header, without(claims, "exp")),
        "one without a user": (False, header, without(claims, "sub")),
        "that of another origin": (False, header, {**claims, "iss": "http://elsewhere.localhost"}),
        "one without an origin": (False, header, without(claims, "iss")),
        "one for another application": (False, header, {**claims, "aud": "forum"}),
        "one for no application": (False, header, without(claims, "aud")),
        "one that names another algorithm": (False, {**header, "alg": "RS256"}, claims),
        "one that names an unknown key": (False, {**header, "kid": "unknown"}, claims),
        "one with another key": (False, header, claims, ""),
    }
    defaults = (True, header, claims, key, 0, 0xFFFF)
    wanted = json.dumps([(*case, *defaults[len(case) :])[1:] for case in cases.values()])
    ran = subprocess.run([python, "-c", SIGNER], input=wanted, stdout=subprocess.PIPE, text=True, check=True)
    made = {what: (token, case[0]) for (what, case), token in zip(cases.items(), ran.stdout.splitlines())}
    message, _, signature = made["a signature with a leading zero"][0].rpartition(".")
    short = decoded(signature)[:32] + decoded(signature)[33:]
    return {**made, "a signature without that zero": (f"{message}.{encoded(short)}", False)}


def without(claims, name):
    return {key: value for key, value in claims.items() if key != name}


def tried(language, command, user, cases):
    """How many of the cases the snippet got right and wrong."""
    cases = {what: case for what, case in cases.items() if (language, what) not in TOLERATED}
    lines = "".join(f"{assertion}\n" for assertion, _ in cases.values())
    ran = subprocess.run([str(part) for part in command], input=lines, capture_output=True, text=True, timeout=60)
    said = ran.stdout.splitlines() + ["nothing"] * len(cases)
    failed = 0
    for (what, (_, is_good)), answer in zip(cases.items(), said):
        if answer != (user if is_good else "refused"):
            failed += 1
            print(f"FAILED: {language}: {what}: {answer}")
    if failed:
        print(ran.stderr)
    return len(cases) - failed, failed


def main():
    binary, *only = sys.argv[1:]
    if unknown := set(only) - set(verifiers.LANGUAGES):
        sys.exit(f"no snippet of {', '.join(unknown)}")
    upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    python = or_skipped("PyJWT", virtual_environment, "pyjwt-venv", HERE / "requirements-pyjwt.txt") / "python"
    passed = failed = 0
    is_skipped = False
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
            user, cases = assertions(gateway, hosts, python)
            for language, prepare in verifiers.LANGUAGES.items():
                if only and language not in only:
                    continue
                try:
                    command = prepare(verifiers.snippet(language, f"http://{hosts[0]}"), directory, python)
                except Skipped as why:
                    print(f"skipped: {language}: {why}")
                    is_skipped = True
                    continue
                right, wrong = tried(language, command, user, cases)
                passed, failed = passed + right, failed + wrong
        finally:
            gateway.stop()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 77 if is_skipped else 0)


if __name__ == "__main__":
    main()
