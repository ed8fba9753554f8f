#!/usr/bin/env python3
"""New processes take the place of the running one, and configurations are reloaded, under load: upgrade.py
VESTIBULE_BINARY [UPGRADES [RELOADS]].

wrk asks for a public page over connections that it keeps, curl over HTTP/2, one request after the other and several at
once, visitors renew their tokens every two seconds, and WebSockets stay open. No request may fail, no connection may be
refused, nobody may be signed out, and no WebSocket may end before the time to drain. Prints `N passed, N failed`.
"""

import asyncio
import base64
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from crowd import ask, cookies_of, head_of  # noqa: E402
from gateway import EMAIL, Gateway, free_port  # noqa: E402
from tls_listener import NAME, Authority  # noqa: E402

LIFETIME, DRAIN = 2, 3
VISITORS, SOCKETS = 8, int(os.environ.get("SOCKETS", "200"))
TLS = """[[server.tls]]
listen = "127.0.0.1:{port}"
certificates = [{{ cert = "{directory}/cert.pem", key = "{directory}/key.pem" }}]

"""
SITE = """
[[sites]]
name = "secure"
origin = "https://{name}:{port}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
default_access = "public"
upstreams = ["http://127.0.0.1:{upstream}"]
"""
# For a machine that is busy with other things.
PATIENCE = 60


async def application(reader, writer):
    """Answers with the visitor it was told of, and echoes over WebSockets."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if b"\r\nupgrade: websocket" in head.lower():
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                while part := await reader.read(4096):
                    writer.write(part)
                    await writer.drain()
                break
            told = [line for line in head.split(b"\r\n") if line.lower().startswith(b"x-auth-email:")]
            body = told[0].partition(b": ")[2] if told else b"nobody"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        pass
    writer.close()


class Run:
    """A gateway whose process changes, and what is wrong with it."""

    def __init__(self, gateway):
        self.gateway, self.faults = gateway, []
        self.asked = self.renewed = self.echoes = 0
        # When each process was told to end.
        self.told_to_end = []
        self.stop = asyncio.Event()

    def fault(self, what):
        print(f"fault: {what}", flush=True)
        self.faults.append(what)

    async def visitor(self):
        """Asks three times at once, with the cookies that the answers before have set."""
        cookie = await asyncio.to_thread(self.gateway.sign_in)
        cookies = dict(pair.split("=", 1) for pair in cookie.split("; "))
        while not self.stop.is_set():
            head = head_of(self.gateway.host, "/cart", "; ".join(f"{name}={value}" for name, value in cookies.items()))
            answers = await asyncio.gather(*(ask(self.gateway.port, head) for _ in range(3)), return_exceptions=True)
            for answer in answers:
                self.asked += 1
                if isinstance(answer, Exception):
                    self.fault(f"a visitor's connection: {answer!r}")
                elif not (answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(EMAIL.encode())):
                    self.fault(f"a visitor got {answer[:600]!r}")
                elif change := cookies_of(answer):
                    self.renewed += 1
                    cookies.update(change)
            await asyncio.sleep(0.05)

    async def web_socket(self):
        """Stays open, and is opened again when its process ends."""
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET /public HTTP/1.1\r\nHost: {self.gateway.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nOrigin: http://{self.gateway.host}\r\n\r\n"
        )
        while not self.stop.is_set():
            opened = time.monotonic()
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
                writer.write(head.encode())
                answer = await reader.readuntil(b"\r\n\r\n")
            except (OSError, asyncio.IncompleteReadError) as error:
                self.fault(f"a WebSocket could not be opened: {error!r}")
                return
            if b" 101 " not in answer:
                self.fault(f"a WebSocket was answered {answer[:100]!r}")
                return
            try:
                while not self.stop.is_set():
                    writer.write(b"ping")
                    await reader.readexactly(4)
                    self.echoes += 1
                    await asyncio.sleep(0.2)
            except (OSError, asyncio.IncompleteReadError):
                now = time.monotonic()
                # One process or another has had the time to drain.
                if not any(now - told >= DRAIN - 0.2 and told > opened - 1 for told in self.told_to_end):
                    self.fault(f"a WebSocket ended after {now - opened:.1f} s, before the time to drain was over")
            writer.close()

    async def upgrade(self):
        """Starts a process in place of the running one, and ends that when the new one serves."""
        gateway, old = self.gateway, self.gateway.process
        socket = Path(gateway.directory) / "state" / "upgrade.sock"
        before = socket.stat().st_ino
        new = subprocess.Popen(
            [gateway.binary, "serve", "--upgrade", "--config", gateway.config], stdout=gateway.log, stderr=gateway.log
        )
        deadline = time.monotonic() + PATIENCE
        # The process that accepts the connections has the socket for the next one.
        while not socket.exists() or socket.stat().st_ino == before:
            if new.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the new process does not serve")
            await asyncio.sleep(0.02)
        self.told_to_end.append(time.monotonic())
        old.send_signal(signal.SIGQUIT)
        gateway.process = new
        return old

    async def ended(self, process):
        status = await asyncio.to_thread(process.wait, DRAIN + PATIENCE)
        if status != 0:
            self.fault(f"an old process ended with {status}")


def wrk(gateway, seconds):
    """Starts wrk on a public page."""
    return subprocess.Popen(
        ["wrk", "-t1", "-c16", f"-d{seconds}s", "--timeout", "20s", "-H", f"Host: {gateway.host}",
         f"http://127.0.0.1:{gateway.port}/public"],
        stdout=subprocess.PIPE, text=True,
    )


def wrk_faults(output):
    """What wrk has counted: connections refused or broken, and other answers than 200."""
    return re.findall(r"Socket errors:.*|Non-2xx or 3xx responses:.*", output)


def curl(gateway, *options):
    """Starts curl on a public page, over HTTP/2. It prints a status for each request, and why one failed."""
    port = gateway.tls_port
    return subprocess.Popen(
        ["stdbuf", "-oL", "curl", "--http2", "-sS", "--max-time", "20",
         "--cacert", f"{gateway.directory}/root.pem", "--resolve", f"{NAME}:{port}:127.0.0.1",
         "-o", "/dev/null", "-w", "HTTP/%{http_version} %{http_code}\\n", *options,
         f"https://{NAME}:{port}/public?[1-100000000]"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def curl_faults(output, errors):
    """The number of requests, and what went wrong. The last line may be cut off."""
    lines = output.splitlines()[:-1]
    faults = [line for line in lines if line != "HTTP/2 200"]
    return len(lines), faults + re.findall("curl: .*", errors)


async def mistaken(run):
    """A mistaken configuration ends the new process, and the running one serves on."""
    config, good = run.gateway.config, run.gateway.config.read_text()
    config.write_text(good.replace('access = "public"', 'access = "publik"'))
    try:
        new = await asyncio.to_thread(
            subprocess.run, [run.gateway.binary, "serve", "--upgrade", "--config", config], capture_output=True
        )
    finally:
        config.write_text(good)
    if new.returncode != 78:
        run.fault(f"a mistaken configuration ended with {new.returncode}")


async def play(binary, upgrades, reloads):
    upstream = await asyncio.start_server(application, "127.0.0.1", 0, backlog=1024)
    with tempfile.TemporaryDirectory(prefix="vestibule-upgrade-") as directory:
        port = upstream.sockets[0].getsockname()[1]
        gateway = await asyncio.to_thread(Gateway, binary, directory, port, f"{LIFETIME}s")
        Authority(directory).issue()
        gateway.tls_port = free_port()
        text = gateway.config.read_text().replace("[server]\n", f'[server]\ndrain = "{DRAIN}s"\n')
        text = text.replace("[log]\n", TLS.format(port=gateway.tls_port, directory=directory) + "[log]\n")
        text += SITE.format(name=NAME, port=gateway.tls_port, upstream=port)
        text += "\n[login]\naccount_limit = { attempts = 1000, per = \"1m\" }\n"
        gateway.config.write_text(text)
        gateway.process.terminate()
        await asyncio.to_thread(gateway.process.wait)
        await asyncio.to_thread(gateway.start)
        run = Run(gateway)
        load = wrk(gateway, 3600)
        over_http2 = [curl(gateway), curl(gateway, "--parallel", "--parallel-max", "16")]
        read = [asyncio.create_task(asyncio.to_thread(process.communicate)) for process in over_http2]
        tasks = [asyncio.create_task(run.visitor()) for _ in range(VISITORS)]
        tasks += [asyncio.create_task(run.web_socket()) for _ in range(SOCKETS)]
        old = []
        try:
            await asyncio.sleep(1)
            for turn in range(upgrades):
                for _ in range(reloads // upgrades):
                    gateway.process.send_signal(signal.SIGHUP)
                    await asyncio.sleep(0.02)
                if turn == 0:
                    await mistaken(run)
                # Two in a row: the one before still drains.
                old.append(await run.upgrade())
                await asyncio.sleep(0.2 if turn % 2 else DRAIN / 2)
            await asyncio.gather(*(run.ended(process) for process in old))
            await asyncio.sleep(LIFETIME + 1)
            reloaded = gateway.metric("vestibule_config_reloads_total")
        finally:
            run.stop.set()
            load.send_signal(signal.SIGINT)
            output, _ = await asyncio.to_thread(load.communicate)
            for process in over_http2:
                process.kill()
            said = [curl_faults(*output) for output in await asyncio.gather(*read)]
            await asyncio.gather(*tasks, return_exceptions=True)
            gateway.stop()
        for fault in wrk_faults(output):
            run.fault(f"wrk: {fault.strip()}")
        for way, (_, faults) in zip(["one", "several"], said):
            for fault in faults:
                run.fault(f"curl, {way} at once: {fault}")
        multiplexed = [count for count, _ in said]
        requests = re.search(r"(\d+) requests in", output)
        print(
            f"{upgrades} upgrades, {reloads} reloads (the last process took {reloaded:.0f}): {requests and requests[1]} requests "
            f"of wrk, {multiplexed} of curl over HTTP/2, {run.asked} of visitors, {run.renewed} renewals, "
            f"{run.echoes} echoes of {SOCKETS} WebSockets"
        )
        if run.renewed == 0 or run.echoes == 0 or not requests or 0 in multiplexed:
            run.fault("nothing was tested")
        failed = bool(run.faults)
        print(f"{0 if failed else 1} passed, {1 if failed else 0} failed")
        return not failed


def main():
    upgrades = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    reloads = int(sys.argv[3]) if len(sys.argv) > 3 else 10 * upgrades
    sys.exit(0 if asyncio.run(play(sys.argv[1], upgrades, reloads)) else 1)


if __name__ == "__main__":
    main()
