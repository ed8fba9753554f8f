"""A gateway of our own with the embedded identity server and one account, and a visitor without a browser. Standard
library only; the measurements in scripts/bench use it too."""

import http.client
import os
import re
import socket
import subprocess
import time
import urllib.parse
from pathlib import Path

EMAIL, PASSWORD = "visitor@example.com", "a password for machines"
CONFIG = """state_dir = "{directory}/state"

[server]
listen = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"
workers = {workers}

[server.limits]
connections_per_address = 20000
upstream_idle = "10m"

[providers.local]
kind = "embedded"
users = "{directory}/users.toml"
leeway = "0s"

[log]
level = "warn"

[[sites]]
name = "site"
origin = "http://localhost:{port}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
upstreams = ["http://127.0.0.1:{upstream}"]

[[sites.rules]]
path = "/public"
access = "public"

[[sites]]
name = "sessions"
origin = "http://sessions.localhost:{port}"
application_id = "85a03867-dccf-4882-adde-1a79aeec50df"
upstreams = ["http://127.0.0.1:{upstream}"]
credential = "session"
"""


def example(binary, name):
    """The example program of that name: in the directory `EXAMPLES`, else beside the binary."""
    directory = os.environ.get("EXAMPLES") or Path(binary).resolve().parent / "examples"
    return Path(directory).resolve() / name


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_users(binary, path, lifetime):
    """A users file with the one account, whose access tokens live for `lifetime`."""
    said = subprocess.run([binary, "hash-password"], input=PASSWORD, capture_output=True, text=True, check=True)
    path.touch(0o600)
    path.write_text(
        f'algorithm = "ES256"\naccess_token_lifetime = "{lifetime}"\n'
        f'[[users]]\nemail = "{EMAIL}"\npassword = "{said.stdout.strip()}"\n'
    )


class Served:
    """`vestibule serve` with a configuration in `directory` that names these ports; visitors say `host`."""

    def __init__(self, binary, directory, config, port, admin, host):
        self.port, self.admin, self.host = port, admin, host
        self.binary, self.directory = binary, Path(directory)
        self.environment = {}
        self.config = self.directory / "vestibule.toml"
        self.config.write_text(config)
        subprocess.run([binary, "check", "--config", self.config], check=True, stdout=subprocess.DEVNULL)
        self.log = open(self.directory / "vestibule.log", "w")
        self.start()

    def start(self):
        environment = {**os.environ, **self.environment}
        self.process = subprocess.Popen([self.binary, "serve", "--config", self.config], stdout=self.log, env=environment)
        deadline = time.monotonic() + 20
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the gateway does not get ready")
            time.sleep(0.05)

    def is_ready(self):
        try:
            return self.ask("/readyz")[0] == 200
        except OSError:
            return False

    def ask(self, path):
        """Asks the admin listener."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def metric(self, name):
        """The sum of all counters of this name whose labels hold every word."""
        family, *words = name if isinstance(name, tuple) else (name,)
        lines = [line for line in self.ask("/metrics")[1].splitlines() if re.match(family + r"[{ ]", line)]
        return sum(float(line.rpartition(" ")[2]) for line in lines if all(word in line for word in words))

    def kill(self):
        """Ends it without a word."""
        self.process.kill()
        self.process.wait()

    def sign_in(self, host=None, email=EMAIL, password=PASSWORD):
        """Signs in through the form, as a browser does, and gives the `Cookie` header."""
        host = host or self.host
        status, cookies, form = self.form(host, "GET")
        csrf = re.search(r'name="csrf" value="([^"]*)"', form)
        if status != 200 or not csrf:
            raise SystemExit(f"the sign-in form answered {status}")
        body = {"loginId": email, "password": password, "csrf": csrf[1], "return_to": "/"}
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.origin(host)}
        status, cookies, _ = self.form(host, "POST", urllib.parse.urlencode(body), Cookie="; ".join(cookies), **kind)
        if status != 303:
            raise SystemExit(f"the sign-in answered {status}")
        return "; ".join(cookie for cookie in cookies if not cookie.endswith("="))

    def origin(self, host):
        """What browsers say where they come from, on a page of this host."""
        return f"http://{host}"

    def connection(self, host):
        """A connection for requests to this host."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def form(self, host, method, body=None, **headers):
        connection = self.connection(host)
        connection.request(method, "/login", body, {"Host": host, "Accept": "text/html", **headers})
        answer = connection.getresponse()
        cookies = [value.partition(";")[0] for name, value in answer.getheaders() if name.lower() == "set-cookie"]
        return answer.status, cookies, answer.read().decode()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


class Gateway(Served):
    """A gateway with an identity server in it before `upstream`, a port on this machine. `sites` are further tables of its
    configuration."""

    def __init__(self, binary, directory, upstream, lifetime, workers=0, sites=""):
        write_users(binary, Path(directory) / "users.toml", lifetime)
        port, admin = free_port(), free_port()
        config = (CONFIG + sites).format(directory=directory, port=port, admin=admin, workers=workers, upstream=upstream)
        super().__init__(binary, directory, config, port, admin, f"localhost:{port}")
