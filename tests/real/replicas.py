#!/usr/bin/env python3
"""Three gateways and one Redis that act as one: replicas.py VESTIBULE_BINARY [ROUNDS].

The example `identity_server` must have been built, beside the binary or in the directory `EXAMPLES`.
Prints `N passed, N failed`.
"""

import asyncio
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from crowd import application, ask, cookies_of, head_of  # noqa: E402
from gateway import EMAIL, Served, example, free_port, write_users  # noqa: E402

HOST = "localhost:8080"
# Whole seconds: one that lives for one may have ended when it arrives.
LIFETIME = 2
REQUESTS = 300
SITE = """
[[sites]]
name = "{name}"
origin = "http://{host}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
upstreams = ["http://127.0.0.1:{upstream}"]
credential = "{credential}"
"""
CONFIG = """state_dir = "{directory}/state"

[server]
listen = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"

[providers.main]
kind = "fusionauth"
url = "http://127.0.0.1:{provider}"
issuer = "identity.localhost"
api_key = "demo"
leeway = "0s"

[store]
backend = "redis"
url = "redis://127.0.0.1:{redis}"

[cookies]
keys = ["q83vEjRWeJC6vN7wEjRWeJCrze8SNFZ4kKvN7xI0Vng="]

[login]
account_limit = {{ attempts = 1000, per = "1m" }}
address_limit = {{ attempts = 1000, per = "1m" }}

[log]
level = "warn"
"""
HOSTS = {"jwt": "store.localhost:8080", "session": "forum.localhost:8080"}


class Redis:
    """A redis-server of our own that keeps nothing."""

    def __init__(self, directory):
        self.port, self.directory = free_port(), directory
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            cwd=self.directory, stdout=subprocess.DEVNULL,
        )

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.process.kill()
        self.process.wait()


class Counted:
    """A way to the identity server that takes its time and counts the renewals that pass."""

    def __init__(self, behind):
        self.behind, self.renewals = behind, 0

    async def serve(self):
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0, backlog=1024)
        return server.sockets[0].getsockname()[1]

    async def connection(self, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self.behind)
        await asyncio.gather(self.requests(reader, back), self.answers(there, writer))

    async def requests(self, source, sink):
        try:
            while part := await source.read(65536):
                if b"/api/jwt/refresh" in part:
                    self.renewals += 1
                    await asyncio.sleep(0.02)
                sink.write(part)
                await sink.drain()
        except ConnectionError:
            pass
        sink.close()

    async def answers(self, source, sink):
        try:
            while part := await source.read(65536):
                await asyncio.sleep(0.02)
                sink.write(part)
                await sink.drain()
        except ConnectionError:
            pass
        sink.close()


class Fleet:
    """Three replicas and their Redis."""

    def __init__(self, binary, directory, upstream, provider):
        self.redis = Redis(directory)
        self.replicas = []
        for number in range(3):
            folder = Path(directory) / f"replica-{number}"
            folder.mkdir()
            port, admin = free_port(), free_port()
            config = CONFIG.format(directory=folder, port=port, admin=admin, provider=provider, redis=self.redis.port)
            for credential, host in HOSTS.items():
                config += SITE.format(name=credential, host=host, upstream=upstream, credential=credential)
            self.replicas.append(Served(binary, folder, config, port, admin, HOST))

    def stop(self):
        for replica in self.replicas:
            replica.stop()
        self.redis.stop()

    def sign_in(self, credential, replica=0):
        cookie = self.replicas[replica].sign_in(HOSTS[credential])
        return dict(pair.split("=", 1) for pair in cookie.split("; ") if not pair.startswith("vestibule-form"))


def header(cookies):
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def served(answer):
    return answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(EMAIL.encode())


def status(answer):
    return answer.split(b" ", 2)[1].decode() if answer else "nothing"


async def insists(fleet, credential, cookies, replica):
    """A request to one replica, or to another one if that replica dies over it, as a balancer in front would do."""
    head = head_of(HOSTS[credential], "/cart", header(cookies))
    for turn in range(20):
        try:
            answer = await ask(fleet.replicas[(replica + turn) % 3].port, head)
            if answer:
                return answer
        except OSError:
            pass
        await asyncio.sleep(0.02)
    return b""


async def crowd(fleet, credential, cookies):
    asked = [insists(fleet, credential, cookies, number % 3) for number in range(REQUESTS)]
    return await asyncio.gather(*asked)


def renewed(cookies, answers):
    """The cookies after the answers: they must all say the same."""
    changes = {tuple(sorted(cookies_of(answer).items())) for answer in answers}
    assert len(changes) == 1, f"{len(changes)} different sets of cookies"
    assert changes != {()}, "no new cookies"
    return {**cookies, **dict(changes.pop())}


async def one_renewal_for_all(fleet, provider, rounds):
    """300 requests over three replicas with one expired credential: one call, 300 successes."""
    for credential in HOSTS:
        cookies = await asyncio.to_thread(fleet.sign_in, credential)
        for _ in range(3):
            await asyncio.sleep(LIFETIME + 0.3)
            before = provider.renewals
            answers = await crowd(fleet, credential, cookies)
            assert all(map(served, answers)), {status(answer) for answer in answers}
            assert provider.renewals - before == 1, f"{credential}: {provider.renewals - before} calls"
            cookies = renewed(cookies, answers)


async def nobody_is_signed_out_by_a_death(fleet, provider, rounds):
    """The same, while one replica is killed at a random moment."""
    people = {credential: await asyncio.to_thread(fleet.sign_in, credential) for credential in HOSTS}
    for turn in range(rounds):
        credential = list(HOSTS)[turn % 2]
        cookies = people[credential]
        await asyncio.sleep(LIFETIME + 0.1)
        victim = random.choice(fleet.replicas)
        asked = asyncio.create_task(crowd(fleet, credential, cookies))
        await asyncio.sleep(random.uniform(0, 0.15))
        await asyncio.to_thread(victim.kill)
        start = time.monotonic()
        answers = await asked
        took = time.monotonic() - start
        await asyncio.to_thread(victim.start)
        assert all(map(served, answers)), (turn, credential, {status(answer) for answer in answers})
        assert took < 15, f"waited {took:.1f} s for a dead replica"
        # A pair that reached nobody but the dead replica's clients may differ: either is good.
        changes = [change for change in map(cookies_of, answers) if change]
        people[credential] = {**cookies, **changes[-1]}
    print(f"{rounds} replicas killed, nobody signed out")


async def a_sign_out_is_heard_everywhere(fleet, provider, rounds):
    """Signed out at one replica, refused at the others within a second."""
    for credential in HOSTS:
        for _ in range(5):
            cookies = await asyncio.to_thread(fleet.sign_in, credential, 0)
            head = head_of(HOSTS[credential], "/cart", header(cookies))
            for replica in fleet.replicas:
                assert served(await ask(replica.port, head)), "not signed in"
            out = head_of(HOSTS[credential], "/logout", header(cookies), "POST", f"Origin: http://{HOSTS[credential]}\r\n")
            assert status(await ask(fleet.replicas[0].port, out)) == "303"
            start = time.monotonic()
            for replica in fleet.replicas[1:]:
                while served(await ask(replica.port, head)):
                    assert time.monotonic() - start < 1, f"{credential}: a copy is served a second after the sign-out"
            for replica in fleet.replicas:
                assert status(await ask(replica.port, head)) in ("302", "401")


async def twenty_seconds_without_redis(fleet, provider, rounds):
    """redis-server dies under load and comes back empty: jwt visitors notice nothing, session visitors come back."""
    away = float(os.environ.get("REDIS_AWAY", "20"))
    people = {credential: await asyncio.to_thread(fleet.sign_in, credential) for credential in HOSTS}
    gone = await asyncio.to_thread(fleet.sign_in, "jwt")
    out = head_of(HOSTS["jwt"], "/logout", header(gone), "POST", f"Origin: http://{HOSTS['jwt']}\r\n")
    assert status(await ask(fleet.replicas[0].port, out)) == "303"
    told = {credential: [] for credential in HOSTS}
    stop = asyncio.Event()

    async def visit(credential):
        number = 0
        while not stop.is_set():
            number += 1
            answer = await insists(fleet, credential, people[credential], number % 3)
            told[credential].append((time.monotonic(), status(answer)))
            people[credential].update({name: value for name, value in cookies_of(answer).items() if value})
            await asyncio.sleep(0.02)

    visits = [asyncio.create_task(visit(credential)) for credential in HOSTS]
    await asyncio.sleep(1)
    fleet.redis.stop()
    down = time.monotonic()
    await asyncio.sleep(min(away, 5))
    ready = [await asyncio.to_thread(replica.ask, "/readyz") for replica in fleet.replicas]
    await asyncio.sleep(max(0, away - 5))
    fleet.redis.start()
    up = time.monotonic()
    await asyncio.sleep(6)
    stop.set()
    await asyncio.gather(*visits)
    assert all(code == 503 for code, _ in ready), f"ready without a store: {ready}"
    assert {code for _, code in told["jwt"]} == {"200"}, "jwt visitors noticed"
    during = {code for at, code in told["session"] if down < at < up}
    assert during <= {"200", "503"} and "503" in during, f"sessions without a store: {during}"
    late = [(at - up, code) for at, code in told["session"] if at > up + 4 and code != "200"]
    assert not late, f"sessions did not come back: {late[:3]}"
    for replica in fleet.replicas:
        assert (await asyncio.to_thread(replica.ask, "/readyz"))[0] == 200, "not ready again"
        answer = await ask(replica.port, head_of(HOSTS["jwt"], "/cart", header(gone)))
        assert status(answer) in ("302", "401"), "an empty store forgot a sign-out"
    print(f"{away:.0f} s without redis: {len(told['jwt'])} jwt visits, {len(told['session'])} session visits")


SCENARIOS = [
    one_renewal_for_all,
    a_sign_out_is_heard_everywhere,
    twenty_seconds_without_redis,
    nobody_is_signed_out_by_a_death,
]


async def play(binary, identity_server, rounds):
    upstream = await asyncio.start_server(application, "127.0.0.1", 0, backlog=1024)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-replicas-") as directory:
        users = Path(directory) / "users.toml"
        write_users(binary, users, f"{LIFETIME}s")
        identity = subprocess.Popen(
            [identity_server, "--state", Path(directory) / "identity", "--users", users], stdout=subprocess.PIPE, text=True
        )
        provider = Counted(int(identity.stdout.readline()))
        port = await provider.serve()
        fleet = await asyncio.to_thread(Fleet, binary, directory, upstream.sockets[0].getsockname()[1], port)
        try:
            for scenario in SCENARIOS:
                name = scenario.__name__.replace("_", " ")
                try:
                    await scenario(fleet, provider, rounds)
                    print(f"ok: {name}", flush=True)
                    passed += 1
                except AssertionError as fault:
                    print(f"FAILED: {name}: {fault}", flush=True)
                    failed += 1
        finally:
            await asyncio.to_thread(fleet.stop)
            identity.kill()
            identity.wait()
    print(f"{passed} passed, {failed} failed")
    return failed == 0


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    identity_server = example(sys.argv[1], "identity_server")
    sys.exit(0 if asyncio.run(play(sys.argv[1], identity_server, rounds)) else 1)


if __name__ == "__main__":
    main()
