"""An application that says whom it was told of, and requests by the hundred, over raw sockets. Standard library only."""

import asyncio


async def application(reader, writer):
    """Answers every request with the visitor it was told of."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            told = [line for line in head.split(b"\r\n") if line.lower().startswith(b"x-auth-email:")]
            body = told[0].partition(b": ")[2] if told else b"nobody"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        writer.close()


def head_of(host, path, cookie, method="GET", more=""):
    length = "Content-Length: 0\r\n" if method == "POST" else ""
    start = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n"
    return f"{start}{length}{more}Connection: close\r\n\r\n".encode()


async def ask(port, head):
    """One request over a connection of its own; the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head)
        return await reader.read()
    finally:
        writer.close()


def cookies_of(answer):
    """The cookies that an answer sets, by name."""
    set_now = {}
    for line in answer.partition(b"\r\n\r\n")[0].decode().split("\r\n"):
        name, _, value = line.partition(": ")
        if name.lower() == "set-cookie":
            cookie, _, value = value.partition(";")[0].partition("=")
            set_now[cookie] = value
    return set_now
