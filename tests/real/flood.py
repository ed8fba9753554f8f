"""Passwords by the thousand against the release binary: how many reach the provider, what they cost in memory, and whether
a renewal is still served. Standard library only.

python3 tests/real/flood.py target/release/vestibule [ATTEMPTS]
"""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from crowd import application, cookies_of  # noqa: E402
from gateway import Served, free_port  # noqa: E402

SECRET = "0123456789abcdefghijklmnopqrstuv"
# As the gateway has it where nothing is configured: attempts a minute.
PER_ACCOUNT, PER_ADDRESS = 5, 30
LINES = 100
# A minute for 50,000: what is asked here is whether they wait for each other, not how fast the machine is.
A_SECOND = 1_000
CONFIG = """state_dir = "{directory}/state"

[server]
listen = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"
trusted_proxies = ["127.0.0.1"]

[providers.stub]
kind = "fusionauth"
url = "http://127.0.0.1:{provider}"
api_key = "stub"
issuer = "stub"
algorithms = ["HS256"]
hmac_secret = "{secret}"
leeway = "0s"

[log]
level = "error"

[[sites]]
name = "site"
origin = "http://localhost:{port}"
application_id = "flood"
upstreams = ["http://127.0.0.1:{upstream}"]
"""


def part(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Provider:
    """Knows one account, and counts who asks it."""

    def __init__(self):
        self.logins, self.refreshes, self.life = 0, 0, 2

    def token(self):
        now = int(time.time())
        claims = {"iss": "stub", "aud": "flood", "sub": "ann", "sid": "s", "iat": now, "exp": now + self.life}
        head = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps(claims).encode())
        return head + "." + part(hmac.digest(SECRET.encode(), head.encode(), hashlib.sha256))

    def answer(self, path, body):
        if path == "/api/login":
            self.logins += 1
            if body.get("password") != "right":
                return 404, {}
        elif path == "/api/jwt/refresh":
            self.refreshes += 1
        else:
            return 404, {}
        return 200, {"token": self.token(), "refreshToken": f"r{self.logins}.{self.refreshes}"}

    async def serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next((int(line.partition(b":")[2]) for line in head.split(b"\r\n")
                               if line.lower().startswith(b"content-length:")), 0)
                body = json.loads(await reader.readexactly(length) or b"{}")
                status, said = self.answer(head.split(b" ")[1].decode(), body)
                said = json.dumps(said).encode()
                writer.write(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                             % (status, len(said), said))
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()


class Line:
    """A kept connection."""

    def __init__(self, port):
        self.port, self.reader = port, None

    async def ask(self, method, path, fields="", body=b""):
        if self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\n{fields}"
                          f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)
        await self.reader.readexactly(length)
        if b"connection: close" in lines:
            self.writer.close()
            self.reader = None
        return int(head.split(b" ")[1]), head


async def sign_in(line, account, password, address):
    body = json.dumps({"loginId": account, "password": password}).encode()
    fields = f"Content-Type: application/json\r\nX-Forwarded-For: {address}\r\n"
    return await line.ask("POST", "/api/login", fields, body)


def attempts(plan, count):
    """Accounts and addresses."""
    if plan == "accounts":
        return ((f"{n % 1000}@example.com", "203.0.113.1") for n in range(count))
    return (("ann", f"10.{n % 1000 // 250}.7.{n % 250}") for n in range(count))


async def drive(port, plan, count):
    """Makes these attempts over kept connections, a hundred at a time; prints how often each status came."""
    statuses, left = {}, attempts(plan, count)

    async def caller():
        line, due = Line(port), time.monotonic()
        for account, address in left:
            due += LINES / A_SECOND
            await asyncio.sleep(max(0, due - time.monotonic()))
            status, _ = await sign_in(line, account, "guess", address)
            statuses[status] = statuses.get(status, 0) + 1

    await asyncio.gather(*(caller() for _ in range(LINES)))
    print(json.dumps(statuses))


async def flood(port, plan, count):
    """The same in a process of its own: neither the provider nor whoever renews waits for it."""
    driver = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--drive", str(port), plan, str(count), stdout=asyncio.subprocess.PIPE)
    said, _ = await driver.communicate()
    return {int(status): times for status, times in json.loads(said).items()}


async def form_guesses(port, count):
    """The same by the form, over one line; statuses."""
    line, statuses = Line(port), []
    for _ in range(count):
        _, head = await line.ask("GET", "/login", "Accept: text/html\r\n")
        cookie = cookies_of(head)["vestibule-form"]
        digest = hashlib.sha256(b"vestibule form\0site\0" + cookie.encode()).digest()
        body = f"loginId=form%40example.com&password=guess&csrf={part(digest)}".encode()
        fields = (f"Content-Type: application/x-www-form-urlencoded\r\nCookie: vestibule-form={cookie}\r\n"
                  f"Origin: http://localhost:{port}\r\nX-Forwarded-For: 192.0.2.200\r\nAccept: text/html\r\n")
        statuses.append((await line.ask("POST", "/login", fields, body))[0])
    return statuses


async def renewal(port, cookies, provider):
    """The seconds that one takes whose access token has ended; the new cookies."""
    before = provider.refreshes
    fields = "Cookie: " + "; ".join(f"{name}={value}" for name, value in cookies.items()) + "\r\n"
    begun = time.monotonic()
    status, head = await Line(port).ask("GET", "/", fields + "X-Forwarded-For: 198.51.100.9\r\n")
    took = time.monotonic() - begun
    assert status == 200 and provider.refreshes == before + 1, (status, head)
    return took, cookies | cookies_of(head)


async def renewals(port, cookies, provider, enough):
    """The middle one of the renewals, one in little more than two seconds, until `enough` says so and three were made."""
    took = []
    while not enough() or len(took) < 3:
        await asyncio.sleep(2.1)
        seconds, cookies = await renewal(port, cookies, provider)
        took.append(seconds)
    return sorted(took)[len(took) // 2], cookies


def resident(process):
    """MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


async def waves(served, provider, count):
    """Both floods, beside them renewals; what was learnt."""
    port = served.port
    status, head = await sign_in(Line(port), "ann", "right", "198.51.100.9")
    assert status == 200, head
    quiet, cookies = await renewals(port, cookies_of(head), provider, lambda: True)
    before = resident(served.process)
    plans = [("a thousand accounts from one address", "accounts", PER_ADDRESS),
             ("one account from a thousand addresses", "addresses", PER_ACCOUNT)]
    for what, plan, limit in plans:
        asked, begun = provider.logins, time.monotonic()
        wave = asyncio.create_task(flood(port, plan, count))
        busy, cookies = await renewals(port, cookies, provider, wave.done)
        statuses, took = await wave, time.monotonic() - begun
        reached, minutes = provider.logins - asked, int(took // 60) + 1
        print(f"{count} attempts, {what}: {reached} reached the provider ({limit} a minute may), "
              f"{took:.1f} s, {statuses}, a renewal in {busy * 1000:.1f} ms ({quiet * 1000:.1f} when quiet)")
        assert set(statuses) <= {401, 429} and reached <= limit * minutes, (what, reached)
        assert statuses[401] == reached, (what, statuses)
        # Of a few milliseconds the double is less than a busy machine takes to get round to anything.
        assert busy < max(2 * quiet, quiet + 0.05), f"a renewal took {busy:.3f} s, {quiet:.3f} s when quiet"
    # The owner, at the browser that signed in before, is not kept out.
    device = f"Cookie: vestibule-device={cookies['vestibule-device']}\r\n"
    body = json.dumps({"loginId": "ann", "password": "right"}).encode()
    fields = f"Content-Type: application/json\r\nX-Forwarded-For: 198.51.100.9\r\n{device}"
    assert (await Line(port).ask("POST", "/api/login", fields, body))[0] == 200
    by_form = await form_guesses(port, PER_ACCOUNT + 3)
    assert by_form == [401] * PER_ACCOUNT + [429] * 3, by_form
    after = resident(served.process)
    print(f"resident memory: {before:.1f} MiB before, {after:.1f} MiB after")
    assert after - before < 20, "more than 20 MiB"


async def main(binary, count):
    provider = Provider()
    listening = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    store = await asyncio.start_server(application, "127.0.0.1", 0)
    ports = {name: server.sockets[0].getsockname()[1] for name, server in
             {"provider": listening, "upstream": store}.items()}
    with tempfile.TemporaryDirectory() as directory:
        port, admin = free_port(), free_port()
        config = CONFIG.format(directory=directory, port=port, admin=admin, secret=SECRET, **ports)
        served = await asyncio.to_thread(Served, binary, directory, config, port, admin, f"localhost:{port}")
        try:
            await waves(served, provider, count)
        finally:
            served.kill()


if __name__ == "__main__":
    if sys.argv[1] == "--drive":
        asyncio.run(drive(int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
    else:
        asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2_000))
