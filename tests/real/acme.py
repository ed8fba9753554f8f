#!/usr/bin/env python3
"""Certificates by themselves from Debian's pebble, whose validation is slow and which refuses one nonce in five:
acme.py VESTIBULE_BINARY [long].

A bare configuration gets its certificates by HTTP-01 and by TLS-ALPN-01, keeps them over a restart, and renews them under
load without a failed request. With `long`, validation takes up to five seconds each time, the server goes away, and the
gateway serves on with what it has. Prints `N passed, N failed`.
"""

import http.client
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gateway import Served, free_port, write_users  # noqa: E402

IS_LONG = sys.argv[2:] == ["long"]
# A certificate lives this long, in seconds, and is renewed after two thirds of it.
VALIDITY = 75 if IS_LONG else 60
# Each validation waits for up to as long, in seconds.
VALIDATION = 5 if IS_LONG else 2
NAMES = ["forum.example.com", "store.example.com"]
CONFIG = """state_dir = "{directory}/state"

[server]
listen = {listen}
admin = "127.0.0.1:{admin}"

[server.acme]
directory = "https://localhost:{acme}/dir"
contact = "mailto:ops@example.com"
accept_terms = true
ca = "{ca}"

[[server.tls]]
listen = "127.0.0.1:{tls}"
acme = true

[providers.local]
kind = "embedded"
users = "{directory}/users.toml"

[[sites]]
name = "store"
origin = "https://store.example.com"
aliases = ["forum.example.com"]
application_id = "store"
upstreams = ["http://127.0.0.1:1"]
"""

passed = failed = 0


def check(what, holds, detail=""):
    global passed, failed
    if holds:
        passed += 1
    else:
        failed += 1
        print(f"FAILED: {what} {detail}")


def until(what, limit, look):
    """Looks until there is something, and gives it."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.2)
    check(what, False, "in vain")
    return None


class Pebble:
    """An ACME server that validates at these ports of this machine."""

    def __init__(self, directory, plain, tls):
        self.directory = Path(directory)
        self.port, self.management, dns = free_port(), free_port(), free_port()
        self.ca = self.directory / "pebble-ca.pem"
        self.make_certificate()
        config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(self.directory / "pebble.pem"),
            "privateKey": str(self.directory / "pebble.key"),
            "httpPort": plain,
            "tlsPort": tls,
            "certificateValidityPeriod": VALIDITY,
        }
        (self.directory / "pebble.json").write_text(json.dumps({"pebble": config}))
        self.dns = subprocess.Popen(
            ["pebble-challtestsrv", "-dns01", f"127.0.0.1:{dns}", "-defaultIPv6", "", "-http01", "", "-https01", "",
             "-tlsalpn01", "", "-management", f"127.0.0.1:{free_port()}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.command = ["pebble", "-config", str(self.directory / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}"]
        self.log = open(self.directory / "pebble.log", "a")
        self.start()

    def make_certificate(self):
        key = self.directory / "pebble.key"
        name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE"]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-keyout", key, "-out", self.ca, *name],
            check=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        (self.directory / "pebble.pem").write_text(self.ca.read_text())

    def start(self):
        environment = {**os.environ, "PEBBLE_WFE_NONCEREJECT": "20", "PEBBLE_VA_SLEEPTIME": str(VALIDATION)}
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log, env=environment)
        until("pebble starts", 20, self.root)

    def root(self):
        """The root of the certificates that it issues, anew at each start."""
        context = ssl.create_default_context(cafile=self.ca)
        try:
            address = f"https://localhost:{self.management}/roots/0"
            return urllib.request.urlopen(address, context=context, timeout=5).read().decode()
        except OSError:
            return None

    def stop(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.stop()
        self.dns.kill()
        self.dns.wait()


class AcmeGateway(Served):
    """Gateways are waited for until they live: ready they are with their certificates."""

    def is_ready(self):
        try:
            return self.ask("/healthz")[0] == 200
        except OSError:
            return False

    def is_certified(self):
        return self.ask("/readyz")[0] == 200


def shown(port, name, root=None):
    """The certificate that is shown for a name; verified against `root` where one is given."""
    context = ssl.create_default_context(cadata=root) if root else ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        with context.wrap_socket(connection, server_hostname=name) as stream:
            return stream.getpeercert() if root else stream.getpeercert(binary_form=True)


def get(port, name, root, path="/_vestibule/health"):
    context = ssl.create_default_context(cadata=root)
    context.check_hostname = False
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    connection.request("GET", path, headers={"Host": name})
    return connection.getresponse().status


class Load:
    """Requests one after the other, each over a connection of its own, until it is stopped."""

    def __init__(self, port, root):
        self.port, self.root, self.served, self.troubles, self.going = port, root, 0, [], True
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while self.going:
            try:
                assert get(self.port, NAMES[1], self.root) == 200
                self.served += 1
            except (AssertionError, OSError) as trouble:
                self.troubles.append(repr(trouble))
            time.sleep(0.02)

    def stop(self):
        self.going = False
        self.thread.join()


def setup(binary, directory, has_plain):
    plain, tls, admin = free_port(), free_port(), free_port()
    pebble = Pebble(directory, plain, tls)
    write_users(binary, Path(directory) / "users.toml", "60s")
    listen = f'["127.0.0.1:{plain}"]' if has_plain else "[]"
    config = CONFIG.format(directory=directory, listen=listen, admin=admin, acme=pebble.port, ca=pebble.ca, tls=tls)
    return pebble, AcmeGateway(binary, directory, config, tls, admin, NAMES[1])


def by_http(binary, directory):
    pebble, gateway = setup(binary, directory, True)
    try:
        # It tells one reason at a time: at first the provider's keys may be missing too.
        told = until("readiness tells of the self-signed certificate", 20, lambda: "self-signed" in gateway.ask("/readyz")[1])
        check("the gateway is not ready before it has its certificates", told)
        check("a self-signed certificate stands in", shown(gateway.port, NAMES[0]))
        until("both certificates are issued", 120, gateway.is_certified)
        root = pebble.root()
        serials = {name: shown(gateway.port, name, root)["serialNumber"] for name in NAMES}
        check("each name has a certificate of its own", len(set(serials.values())) == 2, serials)
        files = list((Path(directory) / "state").glob("acme-*"))
        check("account and certificates are stored", len(files) == 3, files)
        modes = {stat.S_IMODE(file.stat().st_mode) for file in files}
        check("nobody else can read them", modes == {0o600}, modes)

        gateway.stop()
        gateway.log = open(gateway.directory / "vestibule.log", "a")
        gateway.start()
        check("they are used again after a restart", gateway.is_certified())
        again = shown(gateway.port, NAMES[1], root)["serialNumber"]
        check("without another order", again == serials[NAMES[1]])

        load = Load(gateway.port, root)
        renewed = until(
            "a certificate is renewed",
            VALIDITY + 60,
            lambda: shown(gateway.port, NAMES[1], root)["serialNumber"] != again,
        )
        load.stop()
        check("it is renewed under load", renewed and load.served > 100, load.served)
        check("without a failed request", not load.troubles, load.troubles[:3])
        if IS_LONG:
            server_away(pebble, gateway)
    finally:
        gateway.stop()
        pebble.close()


def server_away(pebble, gateway):
    pebble.stop()
    before = gateway.metric(("vestibule_acme_orders_total", "failed"))
    until(
        "an order fails",
        VALIDITY + 30,
        lambda: gateway.metric(("vestibule_acme_orders_total", "failed")) > before,
    )
    check("the certificate in use stays", shown(gateway.port, NAMES[1]))
    check("the failure is logged", "no certificate was issued" in (gateway.directory / "vestibule.log").read_text())
    pebble.start()
    root = pebble.root()

    def trusted():
        try:
            return shown(gateway.port, NAMES[1], root)
        except ssl.SSLError:
            return None

    check("the next attempt succeeds", until("the server's new root is in use", 150, trusted))


def by_tls_alpn(binary, directory):
    pebble, gateway = setup(binary, directory, False)
    try:
        until("certificates are issued by TLS-ALPN-01 alone", 120, gateway.is_certified)
        check("they are the server's", shown(gateway.port, NAMES[0], pebble.root()))
    finally:
        gateway.stop()
        pebble.close()


def main():
    for play in [by_tls_alpn, by_http]:
        with tempfile.TemporaryDirectory() as directory:
            play(sys.argv[1], directory)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
