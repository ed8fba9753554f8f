"""Webhooks by the ten thousand against the release binary: whether a renewal is still served as fast, and what they cost in
memory. Needs wrk.

python3 tests/real/hook_flood.py target/release/vestibule [HOOKS_A_SECOND]
"""

import asyncio
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from crowd import application, cookies_of  # noqa: E402
from flood import CONFIG, SECRET, Line, Provider, renewal, resident, sign_in  # noqa: E402
from gateway import Served, free_port  # noqa: E402

HOOK_SECRET = "hooks-0123456789abcdefghijklmnop"
# A hook is answered once it is saved, with all that came meanwhile: fast senders keep many under way.
VISITORS, LINES, SECONDS = 40, 2000, 15
# Each event is another one, and ends the sign-ins of another user.
SCRIPT = """local thread_number, number = 0, 0
function setup(thread) thread_number = thread_number + 1; thread:set("mark", thread_number) end
function delay() return %(delay)d end
function request()
    number = number + 1
    local id = mark .. "-" .. number
    local event = '{"event":{"id":"' .. id .. '","type":"user.deactivate","createInstant":%(now)d,"user":{"id":"u' .. id .. '"}}}'
    return wrk.format("POST", "/hooks/fusionauth", {["Content-Type"] = "application/json",
        ["Authorization"] = "Bearer %(secret)s"}, event)
end
"""


async def renewed(port, visitors, provider):
    """Renews for all visitors, one after the other; the sorted seconds."""
    await asyncio.sleep(2.1)
    took = []
    for at, cookies in enumerate(visitors):
        seconds, visitors[at] = await renewal(port, cookies, provider)
        took.append(seconds)
    return sorted(took)


def told(took):
    return f"{took[len(took) // 2] * 1000:.1f} ms (p95 {took[len(took) * 95 // 100] * 1000:.1f})"


async def play(served, provider, directory, rate):
    visitors = []
    for number in range(VISITORS):
        status, head = await sign_in(Line(served.port), "ann", "right", f"198.51.100.{number}")
        assert status == 200, head
        visitors.append(cookies_of(head))
    quiet = await renewed(served.port, visitors, provider)
    before = resident(served.process)
    script = Path(directory) / "hooks.lua"
    now = int(time.time() * 1000)
    script.write_text(SCRIPT % {"delay": LINES * 1000 // rate, "now": now, "secret": HOOK_SECRET})
    wrk = await asyncio.create_subprocess_exec(
        "wrk", "-t2", f"-c{LINES}", f"-d{SECONDS}s", "-s", str(script), f"http://127.0.0.1:{served.admin}",
        stdout=subprocess.PIPE)
    busy = []
    while wrk.returncode is None:
        busy += await renewed(served.port, visitors, provider)
        await asyncio.sleep(0)
    said = (await wrk.communicate())[0].decode()
    busy.sort()
    taken = served.metric(("vestibule_hooks_total", 'event="user.deactivate"', 'result="ok"'))
    after = resident(served.process)
    each = float(re.search(r"Requests/sec: *([\d.]+)", said)[1])
    print(f"{each:.0f} hooks a second for {SECONDS} s, {taken:.0f} taken; a renewal in {told(busy)}, {told(quiet)} when quiet; "
          f"resident memory {before:.1f} MiB before, {after:.1f} MiB after")
    assert "Non-2xx" not in said, said
    assert busy[len(busy) // 2] < max(2 * quiet[len(quiet) // 2], quiet[len(quiet) // 2] + 0.05), "a renewal waits"


async def main(binary, rate):
    provider = Provider()
    listening = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    upstream = await asyncio.start_server(application, "127.0.0.1", 0)
    ports = [server.sockets[0].getsockname()[1] for server in (listening, upstream)]
    with tempfile.TemporaryDirectory() as directory:
        port, admin = free_port(), free_port()
        config = CONFIG.format(directory=directory, port=port, admin=admin, provider=ports[0], upstream=ports[1], secret=SECRET)
        config = config.replace('leeway = "0s"\n', f'leeway = "0s"\nwebhook_secret = "{HOOK_SECRET}"\n')
        served = await asyncio.to_thread(Served, binary, directory, config, port, admin, f"localhost:{port}")
        try:
            await play(served, provider, directory, rate)
        finally:
            served.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10_000))
