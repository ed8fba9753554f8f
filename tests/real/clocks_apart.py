#!/usr/bin/env python3
"""Two gateways whose clocks are ten seconds apart, one Redis, and one-time refresh tokens:
clocks_apart.py VESTIBULE_BINARY [STORMS].

Each storm is forty requests over both replicas with one expired credential, right after the provider has begun to sign
with a new key. In half of the storms the provider publishes its keys four seconds late, in a quarter the replica that
refreshes is killed as soon as the provider has answered it. All of it is played twice, the second time with a Redis that
is restarted empty before each storm. Nobody may be signed out, and no refresh token may be used twice.
Prints `N passed, N failed`.
"""

import asyncio
import base64
import itertools
import json
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from crowd import application, ask, cookies_of, head_of  # noqa: E402
from gateway import EMAIL, Served, free_port  # noqa: E402
from replicas import CONFIG, SITE, Redis, header, served, status  # noqa: E402

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
APART, LIFETIME, LEEWAY = 10, 20, 15
REQUESTS = 40
HOST = "store.localhost:8080"
APPLICATION = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, data=b""):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


class Key:
    """An RSA key that openssl made."""

    def __init__(self, directory, kid):
        self.kid, self.file = kid, Path(directory) / f"{kid}.pem"
        openssl("genrsa", "-out", str(self.file), "2048")
        modulus = openssl("rsa", "-in", str(self.file), "-noout", "-modulus").decode().strip().partition("=")[2]
        self.jwk = {"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": base64url(bytes.fromhex(modulus)), "e": "AQAB"}

    def sign(self, claims):
        parts = [{"alg": "RS256", "typ": "JWT", "kid": self.kid}, claims]
        text = ".".join(base64url(json.dumps(part).encode()) for part in parts)
        return f"{text}.{base64url(openssl('dgst', '-sha256', '-sign', str(self.file), data=text.encode()))}"


class Provider:
    """FusionAuth with one-time refresh tokens: whoever presents a used one loses the whole session."""

    def __init__(self, directory):
        self.directory, self.numbers = directory, itertools.count(1)
        self.keys, self.live, self.used, self.reused = [], {}, {}, 0
        self.refreshes, self.keys_take, self.answered = 0, 0, asyncio.Event()

    async def rotate(self):
        key = await asyncio.to_thread(Key, self.directory, f"key-{next(self.numbers)}")
        self.keys = [*self.keys, key][-2:]

    async def serve(self):
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0, backlog=1024)
        return server.sockets[0].getsockname()[1]

    async def connection(self, reader, writer):
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                length = [line.partition(":")[2] for line in head.split("\r\n") if line.lower().startswith("content-length:")]
                body = await reader.readexactly(int(length[0])) if length else b""
                code, answer = await self.answer(head.split(" ")[1].partition("?")[0], json.loads(body or b"{}"))
                text = json.dumps(answer).encode() if answer else b""
                start = f"HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
                writer.write(start.encode() + text)
                await writer.drain()
                if code == 200 and "refreshToken" in (answer or {}):
                    self.answered.set()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    async def answer(self, path, body):
        if path == "/.well-known/jwks.json":
            await asyncio.sleep(self.keys_take)
            return 200, {"keys": [key.jwk for key in self.keys]}
        if path == "/api/login":
            return 200, {**await self.tokens(secrets.token_hex(8)), "user": {"id": "u1", "email": body["loginId"]}}
        if path == "/api/jwt/refresh":
            self.refreshes += 1
            presented = body["refreshToken"]
            if presented in self.used:
                # Somebody has a copy: the session ends.
                self.reused += 1
                ended = self.used[presented]
                self.live = {token: session for token, session in self.live.items() if session != ended}
            if presented not in self.live:
                return 404, None
            session = self.live.pop(presented)
            self.used[presented] = session
            return 200, await self.tokens(session)
        return 200, {}

    async def tokens(self, session):
        refresh, now = secrets.token_hex(16), int(time.time())
        self.live[refresh] = session
        claims = {
            "iss": "identity.localhost", "aud": APPLICATION, "sub": "u1", "iat": now, "exp": now + LIFETIME, "sid": session,
            "jti": secrets.token_hex(8), "email": EMAIL, "roles": [], "applicationId": APPLICATION,
        }
        return {"token": await asyncio.to_thread(self.keys[-1].sign, claims), "refreshToken": refresh}


class Ahead(Served):
    """A gateway whose clock is ahead."""

    ahead = 0

    def start(self):
        # A monotonic clock is not set by anybody, so only the wall clock moves.
        self.environment = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"+{self.ahead}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        super().start()


def replica(binary, directory, number, ports):
    folder = Path(directory) / f"replica-{number}"
    folder.mkdir()
    port, admin = free_port(), free_port()
    config = CONFIG.format(directory=folder, port=port, admin=admin, **ports).replace('leeway = "0s"', f'leeway = "{LEEWAY}s"')
    config += SITE.format(name="jwt", host=HOST, upstream=ports["upstream"], credential="jwt")
    kind = type("Replica", (Ahead,), {"ahead": number * APART})
    return kind(binary, folder, config, port, admin, HOST)


async def insists(replicas, cookies, number):
    """A request to one replica, to the other one if that dies over it, and again after a `503`, as browsers and
    balancers do."""
    told = []
    for turn in range(400):
        try:
            answer = await ask(replicas[(number + turn) % 2].port, head_of(HOST, "/cart", header(cookies)))
        except OSError:
            answer = b""
        if answer:
            told.append(status(answer))
            assert "vestibule-refresh=;" not in answer.decode(errors="replace"), "a cookie was cleared"
            if served(answer):
                return answer
            assert told[-1] in ("503", "500"), told
        await asyncio.sleep(0.1)
    raise AssertionError(f"never served: {sorted(set(told))}")


async def storm(number, replicas, provider, cookies):
    await provider.rotate()
    provider.keys_take = 4 if number % 2 else 0
    provider.answered.clear()
    asked = [asyncio.create_task(insists(replicas, cookies, turn)) for turn in range(REQUESTS)]
    if number % 4 == 3:
        await provider.answered.wait()
        # Whoever called has read the answer by now, and still waits for the keys.
        await asyncio.sleep(0.5)
        victim = replicas[number // 4 % 2]
        await asyncio.to_thread(victim.kill)
        provider.keys_take = 0
        await asyncio.to_thread(victim.start)
    answers = await asyncio.gather(*asked)
    provider.keys_take = 0
    changes = [change for change in map(cookies_of, answers) if change.get("vestibule-refresh")]
    assert changes, "no new cookies"
    return {**cookies, **changes[-1]}


async def storms(count, replicas, provider, before):
    await provider.rotate()
    for each in replicas:
        await asyncio.to_thread(each.kill)
        await asyncio.to_thread(each.start)
    people = []
    for _ in range(count):
        cookie = await asyncio.to_thread(replicas[0].sign_in)
        people.append(dict(pair.split("=", 1) for pair in cookie.split("; ") if not pair.startswith("vestibule-form")))
    await asyncio.sleep(LIFETIME + LEEWAY + 1)
    for number, cookies in enumerate(people):
        await before()
        calls, reused = provider.refreshes, provider.reused
        new = await storm(number, replicas, provider, cookies)
        assert provider.reused == reused, f"storm {number}: a refresh token was used twice"
        assert provider.refreshes - calls == 1, f"storm {number}: {provider.refreshes - calls} refreshes"
        # The new cookies are good at both.
        for turn in range(2):
            await insists(replicas, new, turn)


async def play(binary, count):
    upstream = await asyncio.start_server(application, "127.0.0.1", 0, backlog=1024)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-clocks-") as directory:
        provider, redis = Provider(directory), Redis(directory)
        await provider.rotate()
        ports = {"provider": await provider.serve(), "redis": redis.port, "upstream": upstream.sockets[0].getsockname()[1]}
        replicas = [await asyncio.to_thread(replica, binary, directory, number, ports) for number in range(2)]

        async def nothing():
            pass

        async def restart_empty():
            redis.stop()
            redis.start()
            deadline = time.monotonic() + 20
            while not all([await asyncio.to_thread(each.is_ready) for each in replicas]):
                assert time.monotonic() < deadline, "not ready with an empty store"
                await asyncio.sleep(0.05)

        try:
            for name, before in [("a store that stays", nothing), ("a store that is restarted empty", restart_empty)]:
                start = time.monotonic()
                try:
                    await storms(count, replicas, provider, before)
                    print(f"ok: {count} storms, {name}, {time.monotonic() - start:.0f} s", flush=True)
                    passed += 1
                except AssertionError as error:
                    print(f"FAILED: {name}: {error}", flush=True)
                    failed += 1
        finally:
            for each in replicas:
                await asyncio.to_thread(each.stop)
            redis.stop()
    print(f"{passed} passed, {failed} failed")
    return failed == 0


def main():
    if FAKETIME is None:
        print("skipped: clocks apart: libfaketime is not there (Debian: faketime)")
        sys.exit(77)
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    sys.exit(0 if asyncio.run(play(sys.argv[1], count)) else 1)


if __name__ == "__main__":
    main()
