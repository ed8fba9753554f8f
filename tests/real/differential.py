#!/usr/bin/env python3
"""Odd messages on both sides of the gateway, read by h11, a strict parser: differential.py VESTIBULE_BINARY [CASES [SEED]].

Clients send mutated requests with a second one hidden in the body: the application, which reads with h11, must never
see a request that the gateway did not judge. Applications send mutated responses with a second one behind them: the
client, which reads with h11 too, must never see a response that is not the one to its request. Prints the seed, what
failed, and `N passed, N failed`; exits 77, saying why, where h11 cannot be installed.
"""

import asyncio
import json
import random
import re
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import gateway as gateways  # noqa: E402
from installed import modules, or_skipped  # noqa: E402

AT_ONCE = 16
IDEMPOTENT = [b"GET", b"HEAD", b"PUT", b"OPTIONS"]
# Nothing that is on its way takes longer; a request that is not complete is given up after it.
IDLE = 0.3
POISON = b"HTTP/1.1 200 OK\r\nX-Poison: 1\r\nContent-Length: 6\r\n\r\npoison"

METHODS = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "post", "BREW", "G(T", ""]
TARGETS = ["/public?{id}", "/public?{id}&q=%&p=C:\\x", "/public?{id}\"<", "http://{host}/public?{id}", "//public?{id}",
           "/public?{id} x", "/public/../public?{id}", "*", "public?{id}", "/public?{id}#x", "/public?{id}\u00e9"]
VERSIONS = ["HTTP/1.1"] * 8 + ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", ""]
FRAMING = ["Content-Length: {length}", "Content-Length: 0", "Content-Length: 6", "Content-Length: {length}, {length}",
           "Content-Length: +6", "Content-Length : 6", "Content-Length: 0x6", "Content-Length:\t6\t", "Content_Length: 6",
           "Transfer-Encoding: chunked", "Transfer-Encoding: Chunked", "Transfer-Encoding: gzip, chunked",
           "Transfer-Encoding: chunked, identity", "Transfer-Encoding:\x0bchunked", "Transfer-Encoding : chunked",
           "X: y\r\n Transfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked",
           "Transfer-Encoding: identity", "Transfer_Encoding: chunked"]
OTHERS = ["Connection: close", "Connection: keep-alive, content-length", "Connection: upgrade", "Upgrade: websocket",
          "Upgrade: h2c", "Expect: 100-continue", "TE: trailers", "Trailer: Content-Length", "Host: evil.example",
          "X-Auth-User-Id: evil", "X: \u00e9", "X:", "X: a\x00b", "Via: 1.1 vestibule", "X_Auth_User_Id: evil"]
BODIES = ["", "hello", "0\r\n\r\n{smuggled}", "5\r\nhello\r\n0\r\n\r\n{smuggled}", "{smuggled}", "6\r\nhello",
          "5;a=\"\r\nhello\r\n0\r\n\r\n\"\r\n{smuggled}", "0\r\nContent-Length: 5\r\n\r\n{smuggled}",
          "5\r\nhelloX0\r\n\r\n{smuggled}", "\r\n{smuggled}", "00\r\n\r\n{smuggled}", "0_5\r\nhello\r\n0\r\n\r\n"]

STATUSES = ["200 OK"] * 6 + ["204 No Content", "304 Not Modified", "101 Switching Protocols", "103 Early Hints", "404 x", "500 "]
ANSWER_FIELDS = ["Content-Length: 5", "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5, 5", "Content-Length: 6",
                 "Content-Length: +5", "Content-Length: 0", "Transfer-Encoding: chunked", "Transfer-Encoding: xchunked",
                 "Transfer-Encoding: chunked, identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                 "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5"]
ANSWER_OTHERS = ["Connection: close", "Connection: x-a, transfer-encoding", "Upgrade: websocket", "Keep-Alive: timeout=1",
                 "X: a\r\n Content-Length: 7", "X-A : b", "Trailer: x", "X: \u00e9", "Location: /x"]
ANSWER_BODIES = ["hello", "5\r\nhello\r\n0\r\n\r\n", "", "0\r\n\r\n", "5\r\nhello\r\n0\r\nX-Poison: 1\r\n\r\n", "zz\r\nhello"]


def latin(text):
    return text.encode("latin-1")


def mutated(dice, message):
    """Most messages stay as they are; of the others some bytes are lost, doubled or replaced."""
    for _ in range(dice.choice([0, 0, 0, 1, 1, 2])):
        if message:
            at = dice.randrange(len(message))
            odd = dice.choice([b"", b"\r", b"\n", b"\r\n", b" ", b"\x00", b"\t", message[at : at + 1] * 2])
            message = message[:at] + odd + message[at + 1 :]
    return message


class Application:
    """Reads requests with h11 and writes down what it saw. Answers with the bytes that a request's id stands for."""

    def __init__(self, h11):
        self.h11, self.seen, self.errors, self.answers = h11, [], [], {}

    async def serve(self, reader, writer):
        connection = self.h11.Connection(self.h11.SERVER, max_incomplete_event_size=1 << 20)
        try:
            while await self.request(connection, reader, writer):
                connection.start_next_cycle()
        except self.h11.RemoteProtocolError as error:
            # A request that the client did not finish ends in the middle.
            if connection.trailing_data[1] is False:
                self.errors.append(str(error))
        except (ConnectionError, self.h11.LocalProtocolError):
            pass
        finally:
            writer.close()

    async def request(self, connection, reader, writer):
        request = None
        while True:
            event = connection.next_event()
            if event is self.h11.NEED_DATA:
                if connection.they_are_waiting_for_100_continue:
                    writer.write(connection.send(self.h11.InformationalResponse(status_code=100, headers=[])))
                data = await reader.read(65536)
                connection.receive_data(data)
            elif isinstance(event, self.h11.Request):
                request = event
                self.seen.append(event)
            elif isinstance(event, self.h11.EndOfMessage):
                break
            elif isinstance(event, self.h11.ConnectionClosed) or event is self.h11.PAUSED:
                return False
        ident = re.search(rb"\d+", request.target)
        answer = self.answers.get(ident and int(ident[0]))
        if answer is not None:
            writer.write(answer)
            await writer.drain()
            return False
        body = b"seen " + request.target
        headers = [("Content-Length", str(len(body)))]
        writer.write(connection.send(self.h11.Response(status_code=200, headers=headers)))
        if request.method != b"HEAD":
            writer.write(connection.send(self.h11.Data(data=body)))
        writer.write(connection.send(self.h11.EndOfMessage()))
        await writer.drain()
        return connection.our_state is self.h11.DONE


def odd_request(dice, ident, host):
    smuggled = f"GET /public?smuggled-{ident} HTTP/1.1\r\nHost: {host}\r\n\r\n"
    body = dice.choice(BODIES).format(smuggled=smuggled)
    fields = [f"Host: {host}"] + dice.sample(FRAMING, dice.choice([0, 1, 1, 1, 2])) + dice.sample(OTHERS, dice.choice([0, 0, 1, 2]))
    if dice.random() < 0.2:
        dice.shuffle(fields)
    line = f"{dice.choice(METHODS[:5] * 3 + METHODS)} {dice.choice(TARGETS[:1] * 8 + TARGETS)} {dice.choice(VERSIONS)}"
    head = "\r\n".join([line.format(id=ident, host=host), *fields]).replace("{length}", str(len(latin(body))))
    return mutated(dice, latin(head + "\r\n\r\n" + body))


def odd_answer(dice):
    fields = dice.sample(ANSWER_FIELDS, dice.choice([0, 1, 1, 1, 2])) + dice.sample(ANSWER_OTHERS, dice.choice([0, 0, 1]))
    status = dice.choice(STATUSES)
    head = "\r\n".join([f"HTTP/1.{dice.choice('1110')} {status}", *fields])
    answer = mutated(dice, latin(head + "\r\n\r\n" + dice.choice(ANSWER_BODIES)))
    # What follows an informational response is the response.
    return answer + (b"" if status.startswith("103") else dice.choice([b"", POISON]))


async def exchange(port, message):
    """Sends bytes, and gives what comes back until nothing more does. Says whether the gateway hung up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer, closed = b"", False
    try:
        writer.write(message)
        while not closed:
            data = await asyncio.wait_for(reader.read(65536), IDLE)
            closed, answer = not data, answer + data
    except asyncio.TimeoutError:
        pass
    except ConnectionError:
        closed = True
    finally:
        writer.close()
    return answer, closed


async def ask(h11, port, requests, host):
    """Sends plain requests one after another on a connection, as far as it lasts, and reads with h11. Gives the response
    to each, or what is wrong with it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection, got = h11.Connection(h11.CLIENT), []
    try:
        for target in requests:
            request = h11.Request(method="GET", target=target, headers=[("Host", host)])
            writer.write(connection.send(request) + connection.send(h11.EndOfMessage()))
            response, ended = None, False
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    data = await asyncio.wait_for(reader.read(65536), 10)
                    ended = not data
                    connection.receive_data(data)
                elif isinstance(event, h11.Response):
                    response = event
                    got.append((event, bytearray()))
                elif isinstance(event, h11.Data):
                    got[-1][1].extend(event.data)
                elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)) or event is h11.PAUSED:
                    break
            if response is None or connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                break
            connection.start_next_cycle()
    except h11.RemoteProtocolError as error:
        # The gateway hangs up in the middle of a response that breaks off, which nobody takes for a whole one.
        if not ended:
            return got, str(error)
    except (ConnectionError, asyncio.TimeoutError) as error:
        return got, None if isinstance(error, ConnectionError) else "no end of a response"
    finally:
        writer.close()
    return got, None


class Run:
    def __init__(self, h11, gateway, application, seed):
        self.h11, self.gateway, self.application, self.seed, self.failures = h11, gateway, application, seed, []

    def fail(self, what, case, details):
        self.failures.append(what)
        if len(self.failures) < 10:
            print(f"FAILED: {what} (case {case}): {details!r}")

    async def request_case(self, case):
        dice = random.Random(f"{self.seed} request {case}")
        message = odd_request(dice, case, self.gateway.host)
        follow_up = latin(f"GET /public?follow-{case} HTTP/1.1\r\nHost: {self.gateway.host}\r\n\r\n")
        answer, _ = await exchange(self.gateway.port, message + dice.choice([b"", follow_up]))
        if answer and not answer.startswith(b"HTTP/1."):
            self.fail("an answer is a response", case, (message, answer[:200]))

    async def answer_case(self, case):
        dice = random.Random(f"{self.seed} answer {case}")
        answer = odd_answer(dice)
        self.application.answers[case] = answer
        targets = [f"/public?{case}", "/public?plain"]
        got, error = await ask(self.h11, self.gateway.port, targets, self.gateway.host)
        if error:
            self.fail("a strict client reads every response", case, (answer, error))
        for at, (response, body) in enumerate(got):
            if b"X-Poison" not in answer and any(name == b"x-poison" for name, _ in response.headers):
                self.fail("no client gets the response to another request", case, (answer, response))
            if at == 1 and (response.status_code, bytes(body)) != (200, b"seen /public?plain"):
                self.fail("the next response is that of the next request", case, (answer, response, bytes(body)))

    def judge(self, log):
        """Whether the application saw exactly what the gateway judged."""
        judged = {}
        for line in log.splitlines():
            record = json.loads(line)
            if record.get("target") == "access":
                judged[record["request_id"]] = judged.get(record["request_id"], 0) + 1
        ids, tries = {}, set()
        for request in self.application.seen:
            fields = [(name, value) for name, value in request.headers]
            each = lambda name: [value for have, value in fields if have == name]  # noqa: E731
            ident = each(b"x-request-id")
            # The version that is named is the one in which the gateway received the request (RFC 9110, section 7.6.3).
            ours = each(b"via")[-1:] in ([b"1.0 vestibule"], [b"1.1 vestibule"])
            if len(ident) != 1 or not ours or each(b"x-auth-site") != [b"site"]:
                self.fail("the gateway made every request that the application sees", "-", request)
            elif judged.get(ident[0].decode()) != 1:
                self.fail("the gateway judged every request that the application sees, once", "-", request)
            # What is idempotent is tried again where a connection that was reused broke.
            what = (request.method, request.target)
            if ids.setdefault(ident and ident[0], what) != what or (tries.intersection(ident) and request.method not in IDEMPOTENT):
                self.fail("one judgement is one request", "-", request)
            tries.update(ident)
            if each(b"x-auth-user-id") or any(b"_" in name for name, _ in fields):
                self.fail("nobody is named who is not signed in", "-", request)
        for error in self.application.errors:
            self.fail("a strict application reads every request", "-", error)
        return sum(judged.values()), len(ids)


async def play(h11, binary, cases, seed):
    gateways.CONFIG = gateways.CONFIG.replace('level = "warn"', 'level = "info"')
    application = Application(h11)
    server = await asyncio.start_server(application.serve, "127.0.0.1", 0)
    with tempfile.TemporaryDirectory(prefix="vestibule-differential-") as directory:
        gateway = await asyncio.to_thread(gateways.Gateway, binary, directory, server.sockets[0].getsockname()[1], "60s")
        run = Run(h11, gateway, application, seed)
        try:
            for kind in (run.request_case, run.answer_case):
                turns = iter(range(cases))

                async def worker(kind=kind, turns=turns):
                    for case in turns:
                        await kind(case)

                await asyncio.gather(*[worker() for _ in range(AT_ONCE)])
        finally:
            await asyncio.to_thread(gateway.stop)
        judged, seen = run.judge((Path(directory) / "vestibule.log").read_text())
    server.close()
    print(f"seed {seed}: {cases} odd requests and {cases} odd responses, {judged} requests judged, {seen} forwarded")
    if seen < cases / 10:
        run.fail("some messages are in order", "-", seen)
    return run.failures


def parser():
    """The module `h11`, installed where it is not yet."""
    or_skipped("odd messages before a strict parser", modules, "h11", HERE / "requirements-differential.txt")
    import h11

    return h11


def main():
    h11 = parser()
    cases = int(sys.argv[2]) if len(sys.argv) > 2 else 3000
    seed = sys.argv[3] if len(sys.argv) > 3 else str(random.SystemRandom().randrange(1 << 32))
    failures = asyncio.run(play(h11, sys.argv[1], cases, seed))
    passed = 2 * cases - len(failures)
    print(f"{passed} passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
