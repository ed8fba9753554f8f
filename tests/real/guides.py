#!/usr/bin/env python3
"""The shell blocks of README and the guides, followed word for word: guides.py VESTIBULE_BINARY. Prints `N passed, N
failed`; exits with 77, saying why, where no network of its own can be had.

It runs in a network of its own, in which the ports of the guides are free and the hosts of the examples are this machine.
What a reader replaces is replaced: passwords, and values that the command before has printed.
"""

import contextlib
import fcntl
import http.client
import http.server
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from blocks import ROOT, blocks  # noqa: E402
from gateway import Served  # noqa: E402
from webdriver import until  # noqa: E402

HERE = "tests/real/guides.py"
PASSWORD = "a password of a reader"
HOSTS = ("store.example.com", "store.localhost", "forum.localhost")
CONFIG = """state_dir = "state"

[server]
listen = ["127.0.0.1:80"]

[[server.tls]]
listen = "127.0.0.1:443"
certificates = [{ cert = "store.pem", key = "store.key" }]

[providers.local]
kind = "embedded"
users = "users.toml"

[log]
level = "warn"

[[sites]]
name = "store"
origin = "https://store.example.com"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
upstreams = ["http://127.0.0.1:3001"]
bearer = true

[[sites.rules]]
path = "/exports/*"
access = "required"
"""


class Application(http.server.BaseHTTPRequestHandler):
    """Answers with the headers that it received."""

    def do_GET(self):
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Reader:
    """Somebody with a shell in an empty directory, who has the program."""

    def __init__(self, binary):
        self.directory = Path(tempfile.mkdtemp(prefix="vestibule-guides-"))
        program = self.directory / "bin" / "vestibule"
        program.parent.mkdir()
        program.symlink_to(Path(binary).resolve())
        self.environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}",
                            "CURL_CA_BUNDLE": str(self.directory / "store.pem")}
        self.started = []

    def write(self, name, text):
        (self.directory / name).touch(0o600)
        (self.directory / name).write_text(text)

    def run(self, command):
        """What a command prints."""
        said = subprocess.run(["sh", "-ec", command], cwd=self.directory, env=self.environment, capture_output=True, text=True)
        assert said.returncode == 0, f"`{command}` ended with {said.returncode}:\n{said.stdout}{said.stderr}"
        return said.stdout

    def at_a_terminal(self, command, ends=True):
        """Runs a command at a terminal, and types the password where it asks for one. Waits for its end, or leaves it
        running once the password was typed."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.directory)
            os.execvpe("sh", ["sh", "-ec", command], self.environment)
        said, typed, deadline = "", 0, time.monotonic() + 30
        while time.monotonic() < deadline:
            if not ends and typed == 2:
                # What it prints later must not fill the terminal's buffer.
                thread = threading.Thread(target=drain, args=(terminal,), daemon=True)
                thread.start()
                self.started.append((child, terminal, thread))
                return said
            if select.select([terminal], [], [], 0.1)[0]:
                read = received(terminal)
                if not read:
                    break
                said += read
            if len(re.findall("^(?:Password|Again): ", said, re.MULTILINE)) > typed:
                until(lambda: not termios.tcgetattr(terminal)[3] & termios.ECHO, what="a terminal that does not show what is typed")
                os.write(terminal, f"{PASSWORD}\n".encode())
                typed += 1
        else:
            os.killpg(child, signal.SIGKILL)
        os.close(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == 0 and typed == 2, f"`{command}` ended with {status}:\n{said}"
        assert PASSWORD not in said, "the terminal shows the password"
        return said

    @contextlib.contextmanager
    def serving(self):
        """A gateway with TLS for the host of the examples, and an application behind it."""
        self.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout store.key -out store.pem "
                 "-subj /CN=store -addext subjectAltName=DNS:store.example.com 2>&1")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 3001), Application)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        gateway = subprocess.Popen(["vestibule", "serve", "--config", "vestibule.toml"], cwd=self.directory, env=self.environment)
        try:
            until(lambda: listens(443), 20, "the listener")
            yield
        finally:
            gateway.terminate()
            gateway.wait(40)
            server.shutdown()
            server.server_close()

    def leave(self):
        for child, terminal, thread in self.started:
            with contextlib.suppress(ProcessLookupError):
                # All that it has started: a terminal has a session of its own.
                os.killpg(child, signal.SIGTERM)
            os.waitpid(child, 0)
            # The number of a closed terminal is the next one's: nobody may read from it then.
            thread.join(40)
            os.close(terminal)
        shutil.rmtree(self.directory, ignore_errors=True)


def received(terminal):
    """What a terminal shows next; nothing when its program has ended."""
    try:
        return os.read(terminal, 4096).decode()
    except OSError:
        return ""


def drain(terminal):
    while received(terminal):
        pass


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def toml_before(document, name):
    """The table of a guide right before the block of that name."""
    text = (ROOT / document).read_text().partition(f"<!-- run: {HERE} {name} -->")[0]
    return text.rpartition("```toml\n")[2].partition("```")[0]


def commands(block):
    """The commands of a block, which blank lines separate."""
    return [part for part in block.strip().split("\n\n") if part]


def add_ann(reader, more=""):
    digest = subprocess.run(["vestibule", "hash-password"], input=PASSWORD, env=reader.environment, capture_output=True, text=True)
    reader.write("users.toml", f'outbox = "outbox"\n[[users]]\nemail = "ann@example.com"\npassword = "{digest.stdout.strip()}"\n{more}')
    (reader.directory / "outbox").mkdir()
    reader.write("vestibule.toml", CONFIG)


def code_in(outbox):
    """The code of the newest message."""
    message = until(lambda: sorted(Path(outbox).glob("*.txt")), what="a message")[-1]
    return re.search(r"\b\d{6}\b", message.read_text().partition("\n\n")[2])[0]


def first(reader):
    """README: a first site with the embedded identity server."""
    reader.write("first.toml", toml_before("README.md", "first"))
    reader.at_a_terminal(blocks("README.md", HERE)["first"], ends=False)
    until(lambda: listens(8080) and listens(3000), 20, "the gateway and the application")
    visitor = object.__new__(Served)
    visitor.port, visitor.host = 8080, "localhost:8080"
    cookie = visitor.sign_in(None, "ada@example.com", PASSWORD)
    status, body = get("localhost:8080", "/", {"Cookie": cookie})
    assert status == 200 and "Directory listing" in body, (status, body[:300])
    assert get("localhost:8080", "/", {})[0] == 401, "the application is open to everybody"


def get(host, path, headers):
    connection = http.client.HTTPConnection("127.0.0.1", int(host.partition(":")[2]), timeout=20)
    connection.request("GET", path, headers={"Host": host, **headers})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def users(reader):
    """The quick start: a user of the embedded identity server."""
    site = CONFIG[CONFIG.index("[[sites]]"):]
    reader.write("vestibule.toml", toml_before("docs/quick-start.md", "users") + site)
    reader.at_a_terminal(blocks("docs/quick-start.md", HERE)["users"])
    assert "ada@example.com" in reader.run("vestibule users list --config vestibule.toml")
    assert (reader.directory / "users.toml").stat().st_mode & 0o077 == 0, "others may read the users file"


def check(reader):
    """The quick start: the configuration is checked, and an address explained."""
    rules = re.search(r"```toml\n(.*?)```", (ROOT / "docs/quick-start.md").read_text(), re.DOTALL)[1]
    site = (ROOT / "README.md").read_text().rpartition("```toml\n")[2].partition("```")[0]
    reader.write("vestibule.toml", site + re.sub("^   ", "", rules, flags=re.MULTILINE))
    reader.environment["FUSIONAUTH_API_KEY"] = "a-key-of-the-provider"
    said = reader.run(re.sub("^   ", "", blocks("docs/quick-start.md", HERE)["check"], flags=re.MULTILINE))
    assert "no problem found; sites: store" in said, said
    assert re.search(r"without role +refused +role_missing +403", said), said


def token(reader):
    """Service tokens: a new token, and a program that uses it."""
    guide = blocks("docs/guide/service-tokens.md", HERE)
    said = reader.run(guide["new"])
    reader.write("users.toml", "")
    reader.write("vestibule.toml", CONFIG + said[said.index("[[sites.tokens]]"):])
    reader.environment["TOKEN"] = re.match(r"vst_\S+", said)[0]
    with reader.serving():
        told = json.loads(reader.run(guide["use"]))
    assert told["x-auth-user-id"] == "token:backup" and "authorization" not in told, told


def api_client(reader):
    """API clients: a sign-in, and a request with the tokens."""
    sign_in, request = commands(blocks("docs/guide/api-clients.md", HERE)["sign-in"])
    add_ann(reader)
    with reader.serving():
        tokens = json.loads(reader.run(sign_in.replace('"password":"…"', f'"password":"{PASSWORD}"')))
        reader.environment |= {"TOKEN": tokens["token"], "REFRESH": tokens["refreshToken"]}
        told = json.loads(reader.run(request).split("\n\n")[1])
    assert told["x-auth-email"] == "ann@example.com", told


def two_factor(reader):
    """API clients: a sign-in with a code."""
    add_ann(reader, '[users.two_factor]\nemail = "ann@example.com"\n')
    block = blocks("docs/guide/api-clients.md", HERE)["two-factor"].replace('"password":"…"', f'"password":"{PASSWORD}"')
    with reader.serving():
        done = with_code(reader, block, reader.directory / "outbox")
    assert done["token"] and done["user"]["email"] == "ann@example.com", done


def one_page(reader):
    """Single-page applications: the same at the demo."""
    demo = subprocess.Popen(["vestibule", "demo"], cwd=reader.directory, env=reader.environment, stdout=subprocess.PIPE, text=True)
    said = ""
    try:
        for line in demo.stdout:
            said += line
            if "/outbox" in said and listens(8080):
                break
        until(lambda: listens(8080), 20, "the demo")
        block = blocks("docs/guide/single-page.md", HERE)["two-factor"]
        done = with_code(reader, block, re.search(r"\S+/outbox\b", said)[0])
        assert done["user"]["email"] == "twofactor@example.com", done
    finally:
        demo.terminate()
        demo.wait(40)


def with_code(reader, block, outbox):
    """The three commands of a sign-in with a code: what the last one answers."""
    password, send, finish = commands(block)
    asked = json.loads(reader.run(password))
    by_mail = next(method["choice"] for method in asked["methods"] if method["method"] == "email")
    send = send.replace('"challenge":"iBIC…"', f'"challenge":"{asked["challenge"]}"')
    reader.run(send.replace('"choice":"iBIC…"', f'"choice":"{by_mail}"'))
    finish = finish.replace("iBIC…", asked["challenge"]).replace("123456", code_in(outbox))
    return json.loads(reader.run(finish))


STEPS = (first, users, check, token, api_client, two_factor, one_page)


def in_a_network_of_its_own():
    """Starts this program again, in a network and with a hosts file of its own."""
    command = ["unshare", "--net", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        print(f"skipped: the guides: no network of its own: {tried.stderr.strip()}")
        sys.exit(77)
    os.execvp("unshare", [*command, sys.executable, __file__, *sys.argv[1:], "inside"])


def prepare():
    """Turns the loopback interface on, and tells that the hosts of the examples are here."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up, siocsifflags = 0x1, 0x8914
        fcntl.ioctl(any_socket, siocsifflags, struct.pack("16sh", b"lo", up))
    with tempfile.NamedTemporaryFile("w", prefix="vestibule-hosts-") as hosts:
        hosts.write("127.0.0.1 localhost " + " ".join(HOSTS) + "\n")
        hosts.flush()
        subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)


def main():
    if sys.argv[-1] != "inside":
        in_a_network_of_its_own()
    prepare()
    passed = 0
    for step in STEPS:
        print(f"{step.__name__}: {step.__doc__}", flush=True)
        reader = Reader(sys.argv[1])
        try:
            step(reader)
            passed += 1
        except (AssertionError, SystemExit, OSError, LookupError, ValueError):
            traceback.print_exc()
        finally:
            reader.leave()
    failed = len(STEPS) - passed
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
