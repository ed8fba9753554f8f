#!/usr/bin/env python3
"""A thousand requests at once with one expired token: parallel_renewal.py VESTIBULE_BINARY [REQUESTS].

All must be served, and the provider asked once. Prints `N passed, N failed`.
"""

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from crowd import application, cookies_of, head_of  # noqa: E402
from gateway import Gateway  # noqa: E402

LIFETIME = 6


async def request(gateway, cookie, connected, go):
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    connected.release()
    await go.wait()
    writer.write(head_of(gateway.host, "/cart", cookie))
    answer = await reader.read()
    writer.close()
    return answer


async def all_at_once(gateway, requests):
    cookie = await asyncio.to_thread(gateway.sign_in)
    await asyncio.sleep(LIFETIME + 1)
    refreshes = ("vestibule_provider_requests_total", 'operation="refresh"')
    before = await asyncio.to_thread(gateway.metric, refreshes)
    connected, go = asyncio.Semaphore(0), asyncio.Event()
    waiting = [asyncio.create_task(request(gateway, cookie, connected, go)) for _ in range(requests)]
    for _ in waiting:
        await connected.acquire()
    start = time.monotonic()
    go.set()
    answers = await asyncio.gather(*waiting)
    took = time.monotonic() - start
    after = await asyncio.to_thread(gateway.metric, refreshes)
    return answers, after - before, took


async def check(binary, requests, workers):
    server = await asyncio.start_server(application, "127.0.0.1", 0, backlog=requests)
    upstream = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="vestibule-renewal-") as directory:
        gateway = await asyncio.to_thread(Gateway, binary, directory, upstream, f"{LIFETIME}s", workers)
        try:
            answers, calls, took = await all_at_once(gateway, requests)
        finally:
            await asyncio.to_thread(gateway.stop)
    server.close()
    good = sum(answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"visitor@example.com") for answer in answers)
    tokens = {cookies_of(answer).get("vestibule-access") for answer in answers}
    threads = "one thread" if workers == 1 else "a thread for each core"
    print(f"{threads}, {requests} requests at once in {took:.2f} s: {good} served, {calls:.0f} calls to the provider")
    return {
        f"{threads}: every request is served, with the visitor's name": good == requests,
        f"{threads}: the provider is asked once": calls == 1,
        f"{threads}: every answer brings the same new token": len(tokens) == 1 and None not in tokens,
    }


def main():
    requests = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    least, most = requests * 4, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most != resource.RLIM_INFINITY and most < least:
        print(f"skipped: a thousand renewals at once: {most} open files are allowed, {least} are needed")
        sys.exit(77)
    resource.setrlimit(resource.RLIMIT_NOFILE, (least, most))
    outcome = {}
    for workers in (0, 1):
        outcome |= asyncio.run(check(sys.argv[1], requests, workers))
    for what, holds in outcome.items():
        if not holds:
            print(f"FAILED: {what}")
    passed = sum(outcome.values())
    print(f"{passed} passed, {len(outcome) - passed} failed")
    sys.exit(0 if passed == len(outcome) else 1)


if __name__ == "__main__":
    main()
