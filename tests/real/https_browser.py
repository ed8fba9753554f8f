#!/usr/bin/env python3
"""Chromium at a gateway that gets its certificates by itself: https_browser.py VESTIBULE_BINARY.

A short configuration with `acme = true`, Debian's pebble, and a Chromium that trusts its root and nothing more: the
sign-in, the cookies, a renewal, a WebSocket, and the sign-out that closes it. Prints `N passed, N failed`.
"""

import asyncio
import base64
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from acme import AcmeGateway, Pebble  # noqa: E402
from gateway import EMAIL, PASSWORD, free_port, write_users  # noqa: E402
from webdriver import Browser, until  # noqa: E402

NAME = "store.example.com"
# How long an access token lives, in seconds.
LIFETIME = 9
ACCESS, REFRESH = "__Host-vestibule-access", "__Host-vestibule-refresh"
CONFIG = """state_dir = "{directory}/state"
server = {{ listen = ["127.0.0.1:{plain}"], admin = "127.0.0.1:{admin}", tls = [{{ listen = "127.0.0.1:{tls}", acme = true }}], acme = {{ directory = "https://localhost:{acme}/dir", accept_terms = true, ca = "{ca}" }} }}
providers.local = {{ kind = "embedded", users = "{directory}/users.toml" }}
[[sites]]
name = "store"
origin = "https://{name}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
upstreams = ["http://127.0.0.1:{upstream}"]
"""
PAGE = """<!doctype html><title>Store</title><p id="who">%s</p><p id="socket">none</p><script>
const socket = new WebSocket(`wss://${location.host}/socket`), said = document.getElementById("socket");
socket.onopen = () => socket.send("hello");
socket.onmessage = (event) => { said.textContent = event.data; };
socket.onclose = () => { said.textContent = "closed"; };
</script>"""

passed = failed = 0


def check(what, holds, detail=""):
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    if not holds:
        print(f"FAILED: {what} {detail}")


async def application(reader, writer):
    """A page that says whom it was told of, and opens a WebSocket, which echoes."""
    try:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            fields = dict(re.findall(r"(?m)^([^:\r\n]+): ([^\r\n]*)", head))
            fields = {name.lower(): value for name, value in fields.items()}
            if "sec-websocket-key" in fields:
                return await echo(reader, writer, fields["sec-websocket-key"])
            page = (PAGE % fields.get("x-auth-email", "nobody")).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def echo(reader, writer, key):
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: %s\r\n\r\n" % accept
    )
    while True:
        first, length = await reader.readexactly(2)
        mask = await reader.readexactly(4)
        data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(await reader.readexactly(length & 127)))
        writer.write(bytes([first, len(data)]) + data)


def serve_application():
    """Its port. It ends with this process."""
    loop, port = asyncio.new_event_loop(), []

    async def start():
        server = await asyncio.start_server(application, "127.0.0.1", 0)
        port.append(server.sockets[0].getsockname()[1])

    loop.run_until_complete(start())
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return port[0]


def trusting_home(directory, root):
    """A home directory whose Chromium trusts this root."""
    home = Path(directory) / "home"
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    (home / "root.pem").write_text(root)
    certutil = ["certutil", "-d", f"sql:{database}"]
    subprocess.run([*certutil, "-N", "--empty-password"], check=True)
    subprocess.run([*certutil, "-A", "-t", "C,,", "-n", "pebble", "-i", home / "root.pem"], check=True)
    return {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}


def visit(browser):
    site = f"https://{NAME}/"
    browser.goto(f"{site}cart")
    check("the form is shown", browser.url().startswith(f"{site}login?return_to="), browser.url())
    browser.type("[name=loginId]", EMAIL)
    browser.type("[name=password]", PASSWORD)
    browser.leave("main button[type=submit], form button[type=submit]")
    signed_in = time.monotonic()
    check("the sign-in leads on", browser.url() == f"{site}cart", browser.url())
    check("the application knows who it is", browser.text("#who") == EMAIL, browser.text("#who"))
    cookies = browser.cookies()
    for name in (ACCESS, REFRESH):
        cookie = cookies.get(name, {})
        check(f"{name} is for https alone", cookie.get("secure") and cookie.get("httpOnly"), cookie)
        check(f"{name} is for this host alone", cookie.get("domain") == NAME and cookie.get("path") == "/", cookie)
    protocol = browser.script("return performance.getEntriesByType('navigation')[0].nextHopProtocol")
    check("the browser speaks HTTP/2", protocol == "h2", protocol)
    until(lambda: browser.text("#socket") == "hello", what="a WebSocket that echoes")
    page = browser.tab()
    time.sleep(max(0, signed_in + LIFETIME + 1 - time.monotonic()))
    browser.new_tab()
    browser.goto(f"{site}cart")
    check("an expired token is renewed", browser.text("#who") == EMAIL, browser.url())
    renewed = browser.cookies().get(ACCESS, {}).get("value")
    check("the renewal sets a new token", renewed not in (None, cookies[ACCESS]["value"]))
    browser.goto(f"{site}logout")
    browser.leave("main button[type=submit], form button[type=submit]")
    signed_out = time.monotonic()
    check("the cookies are gone", not {ACCESS, REFRESH} & browser.cookies().keys(), list(browser.cookies()))
    browser.switch(page)
    until(lambda: browser.text("#socket") == "closed", 10, "the end of the WebSocket")
    took = time.monotonic() - signed_out
    check("the sign-out closes the WebSocket within five seconds", took < 5, took)
    browser.goto(f"{site}cart")
    check("nobody is signed in", browser.url().startswith(f"{site}login"), browser.url())


def main():
    binary = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="vestibule-https-") as directory:
        plain, tls, admin, upstream = free_port(), free_port(), free_port(), serve_application()
        write_users(binary, Path(directory) / "users.toml", f"{LIFETIME}s")
        pebble = Pebble(directory, plain, tls)
        config = CONFIG.format(
            directory=directory, plain=plain, tls=tls, admin=admin, acme=pebble.port, ca=pebble.ca, name=NAME, upstream=upstream
        )
        gateway = AcmeGateway(binary, directory, config, tls, admin, NAME)
        try:
            until(gateway.is_certified, 60, "a certificate")
            there = f"--host-resolver-rules=MAP {NAME}:443 127.0.0.1:{tls}, MAP {NAME}:80 127.0.0.1:{plain}"
            with Browser(arguments=[there], environment=trusting_home(directory, pebble.root())) as browser:
                browser.goto(f"http://{NAME}/cart")
                check("http leads to https", browser.url().startswith(f"https://{NAME}/login"), browser.url())
                visit(browser)
        finally:
            gateway.stop()
            pebble.close()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
