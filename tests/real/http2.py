#!/usr/bin/env python3
"""HTTP/2 clients before an application that reads HTTP/1.1 with h11, a strict parser: http2.py VESTIBULE_BINARY [REQUESTS
[STREAMS [SEED]]].

Sends REQUESTS (4,000) mixed requests, with bodies cut in every way, trailers, padding and cancellations: the application
must see no malformed request and no other body, and each client must get the response to its own request. Then floods of
frames: each ends its connection, and a visitor beside it notices nothing. Then STREAMS (200) event streams and five times
as many WebSockets of one visitor among those of another: a sign-out ends the first within five seconds, and none of the
others. Prints the seed, what failed, and `N passed, N failed`; exits 77, saying why, where the libraries cannot be
installed.
"""

import asyncio
import itertools
import json
import random
import resource
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import gateway as gateways  # noqa: E402
from installed import modules as installed_modules, or_skipped  # noqa: E402

CONNECTIONS, AT_ONCE = 12, 16
# A connection may send 100 empty pieces of bodies in its life, docs/development/limits.md. These send one in five requests.
REQUESTS_OF_A_CONNECTION = 240
PUBLIC, SECRET = "/public", "/orders"
CALM, CANCEL = 0xB, 0x8


class Application:
    """Reads requests with h11, and answers each with what it saw. `/events` gets an event and nothing more."""

    def __init__(self, h11):
        self.h11, self.errors, self.seen, self.connections = h11, [], 0, 0

    async def serve(self, reader, writer):
        self.connections += 1
        connection = self.h11.Connection(self.h11.SERVER, max_incomplete_event_size=1 << 20)
        try:
            while await self.request(connection, reader, writer):
                connection.start_next_cycle()
        except self.h11.RemoteProtocolError as error:
            # A request that the client has cancelled ends in the middle.
            if "without sending complete message body" not in str(error):
                self.errors.append(f"{error}: {connection.trailing_data[0][:200]!r}")
        except (ConnectionError, self.h11.LocalProtocolError):
            pass
        finally:
            writer.close()

    async def request(self, connection, reader, writer):
        h11, body = self.h11, bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        self.seen += 1
        if any(name == b"upgrade" for name, _ in request.headers):
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
            await reader.read(1)
            return False
        fields = [(name.decode(), value.decode()) for name, value in request.headers]
        target = request.target.decode()
        if target.startswith("/events"):
            head = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
            writer.write(connection.send(h11.Response(status_code=200, headers=head)))
            writer.write(connection.send(h11.Data(data=b"data: hello\n\n")))
            await reader.read(1)
            return False
        told = json.dumps([request.method.decode(), target, body.decode(), fields]).encode()
        # Its own length, chunks, or a coding that an HTTP/2 client must not see.
        chunked = len(body) % 2 == 1
        head = [("Transfer-Encoding", "chunked"), ("Keep-Alive", "timeout=5")] if chunked else [("Content-Length", str(len(told)))]
        writer.write(connection.send(h11.Response(status_code=200, headers=head)))
        if request.method != b"HEAD":
            writer.write(connection.send(h11.Data(data=told)))
        writer.write(connection.send(h11.EndOfMessage()))
        await writer.drain()
        return connection.our_state is h11.DONE


class Answer:
    """A response, as far as it has come. `reset` is the code that its stream was reset with."""

    def __init__(self):
        self.fields, self.body, self.reset, self.ended = {}, bytearray(), None, asyncio.Event()
        self.begun = asyncio.Event()

    @property
    def status(self):
        return int(self.fields.get(":status", 0))


class Client:
    """One HTTP/2 connection."""

    def __init__(self, h2, port):
        self.h2, self.port, self.answers, self.end, self.error = h2, port, {}, None, None
        # Resolved when there may be room for more of a body.
        self.room = asyncio.get_running_loop().create_future()

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        # Validation of what is sent is off: some of it is wrong on purpose.
        configuration = self.h2.config.H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False)
        self.connection = self.h2.connection.H2Connection(config=configuration)
        self.connection.initiate_connection()
        self.flush()
        self.task = asyncio.create_task(self.read())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        self.writer.close()

    def make_room(self):
        self.room.set_result(None)
        self.room = asyncio.get_running_loop().create_future()

    def flush(self):
        self.writer.write(self.connection.data_to_send())

    async def read(self):
        events = self.h2.events
        try:
            while data := await self.reader.read(65536):
                for event in self.connection.receive_data(data):
                    answer = self.answers.get(getattr(event, "stream_id", None))
                    if isinstance(event, events.ConnectionTerminated):
                        self.end = event.error_code
                    elif isinstance(event, events.WindowUpdated):
                        self.make_room()
                    elif answer is None:
                        continue
                    elif isinstance(event, events.ResponseReceived):
                        answer.fields = dict(event.headers)
                    elif isinstance(event, events.DataReceived):
                        answer.body += event.data
                        self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        answer.begun.set()
                    elif isinstance(event, events.StreamReset):
                        answer.reset = event.error_code
                        answer.ended.set()
                        self.make_room()
                    elif isinstance(event, events.StreamEnded):
                        answer.ended.set()
                self.flush()
        except (ConnectionError, KeyError, self.h2.exceptions.ProtocolError) as error:
            self.error = repr(error)
        finally:
            for answer in self.answers.values():
                answer.begun.set()
                answer.ended.set()
            self.make_room()

    def begin(self, method, target, host, fields=(), end=True):
        """Sends a head. Gives the stream and what will be its answer."""
        stream = self.connection.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", host), (":path", target), *fields]
        answer = self.answers[stream] = Answer()
        self.connection.send_headers(stream, head, end_stream=end)
        self.flush()
        return stream, answer

    async def push(self, stream, data, end, padding=None):
        """Sends a piece of a body, once there is room for it. Says whether the stream still takes any."""
        while not self.answers[stream].ended.is_set():
            room_made = self.room
            try:
                room = self.connection.local_flow_control_window(stream)
            except (self.h2.exceptions.ProtocolError, KeyError):
                # The stream is closed.
                return False
            if room >= len(data) + 1 + (padding or 0):
                self.connection.send_data(stream, data, end_stream=end, pad_length=padding)
                self.flush()
                return True
            await asyncio.wait_for(asyncio.shield(room_made), 20)
        return False


class Run:
    def __init__(self, modules, gateway, application, seed):
        self.h2, self.frames, self.hpack = modules
        self.gateway, self.application, self.seed = gateway, application, seed
        self.passed, self.failures = 0, []

    def check(self, good, what, *details):
        if good:
            self.passed += 1
            return
        self.failures.append(what)
        if len(self.failures) < 10:
            print(f"FAILED: {what}: {details!r}"[:2000])

    def client(self):
        return Client(self.h2, self.gateway.port)

    # Mixed requests.

    async def mixed(self, requests):
        turns = iter(range(requests))
        cookie = await asyncio.to_thread(self.gateway.sign_in)

        async def worker(client, share):
            for case in share:
                if client.end is not None or client.error:
                    return
                try:
                    await self.request_case(client, case, cookie)
                except asyncio.TimeoutError:
                    self.check(False, "there is room for every body", case)

        async def connections():
            while share := list(itertools.islice(turns, REQUESTS_OF_A_CONNECTION)):
                async with self.client() as client:
                    cases = iter(share)
                    try:
                        await asyncio.gather(*[worker(client, cases) for _ in range(AT_ONCE)])
                    except self.h2.exceptions.ProtocolError as error:
                        self.check(False, "the connection stays open", error, client.end, client.error)
                    self.check(client.end is None, "the connection stays open", client.end, client.error)

        await asyncio.gather(*[connections() for _ in range(CONNECTIONS)])
        for error in self.application.errors:
            self.check(False, "a strict application reads every request", error)

    async def request_case(self, client, case, cookie):
        dice = random.Random(f"{self.seed} {case}")
        signed_in = dice.random() < 0.5
        path = dice.choice([PUBLIC, SECRET])
        fields = [("x-case", str(case))]
        if signed_in:
            fields += [("cookie", crumb) for crumb in [*cookie.split("; "), f"c={case}"]]
        method = dice.choice(["GET", "GET", "HEAD", "POST", "PUT", "DELETE"])
        pieces = [] if method in ("GET", "HEAD") else dice.choice(
            [["a" * n] for n in (0, 1, 2, 100, 20000)] + [["x", "", "yz"], ["ab", "c"], ["", "", "a"], ["q" * 16000] * 3]
        )
        body = "".join(pieces)
        if pieces and dice.random() < 0.5:
            fields.append(("content-length", str(len(body))))
        host, target = self.gateway.host, f"{path}?{case}"
        stream, answer = client.begin(method, target, host, fields, end=not pieces)
        if pieces and not await self.send_body(dice, client, stream, answer, pieces):
            return
        try:
            await asyncio.wait_for(answer.ended.wait(), 30)
        except asyncio.TimeoutError:
            return self.check(False, "every request gets a response", case, method, target)
        del client.answers[stream]
        if path == SECRET and not signed_in:
            return self.check(answer.status == 401, "nobody sees the orders who is not signed in", case, answer.status)
        self.check(answer.status == 200 and not answer.reset, "the application is reached", case, answer.status, answer.reset, client.end, client.error)
        if method == "HEAD" or answer.status != 200 or answer.reset or client.error:
            return
        seen_method, seen_target, seen_body, seen_fields = json.loads(answer.body)
        same = (seen_method, seen_target, seen_body) == (method, target, body)
        self.check(same, "the application saw this request", case, seen_method, seen_target, len(seen_body), len(body))
        cookies = [value for name, value in seen_fields if name == "cookie"]
        kept = [f"c={case}"] if signed_in and path == SECRET else cookies[:1]
        self.check(cookies == kept, "there is one cookie field, without the gateway's own", case, cookies)
        bad = [name for name in answer.fields if name in ("connection", "keep-alive", "transfer-encoding")]
        self.check(not bad, "no field of a connection reaches the client", bad)

    async def send_body(self, dice, client, stream, answer, pieces):
        """Sends the pieces, cut in one of many ways. Says whether a response is to be expected."""
        how = dice.choice(["plain", "plain", "empty end", "empty end", "padded", "trailers", "cancelled"])
        for at, piece in enumerate(pieces):
            last = at + 1 == len(pieces)
            if how == "cancelled" and last:
                if not answer.ended.is_set():
                    client.connection.reset_stream(stream, CANCEL)
                    client.flush()
                client.answers.pop(stream, None)
                return False
            for start in range(0, max(len(piece), 1), 16000):
                data = piece[start : start + 16000].encode()
                end = last and start + 16000 >= len(piece) and how in ("plain", "padded")
                if not await client.push(stream, data, end, dice.randrange(200) if how == "padded" else None):
                    return True
            if dice.random() < 0.3:
                await asyncio.sleep(0)
        try:
            if how == "empty end":
                client.connection.send_data(stream, b"", end_stream=True)
            elif how == "trailers":
                client.connection.send_headers(stream, [("x-trailer", "1")], end_stream=True)
        except (self.h2.exceptions.ProtocolError, KeyError):
            # The gateway has answered and closed the stream meanwhile.
            pass
        client.flush()
        return True

    # Floods.

    def floods(self):
        """Each flood: its name, and the bytes that are sent again and again."""
        f, encode = self.frames, self.hpack.Encoder
        host = self.gateway.host
        head = [(":method", "GET"), (":scheme", "http"), (":authority", host), (":path", PUBLIC)]

        def many(make, count=20000):
            return b"".join(make(number).serialize() for number in range(count))

        def resets(count=10000):
            encoder, data = encode(), b""
            for stream in range(1, 2 * count, 2):
                data += f.HeadersFrame(stream, encoder.encode(head), flags=["END_HEADERS", "END_STREAM"]).serialize()
                data += f.RstStreamFrame(stream, CANCEL).serialize()
            return data

        opened = f.HeadersFrame(1, encode().encode(head), flags=["END_HEADERS"]).serialize()
        begun = f.HeadersFrame(1, encode().encode(head)).serialize()
        more = encode().encode([("x", "y")])
        return {
            "PING": many(lambda _: f.PingFrame(0, b"12345678")),
            "SETTINGS": many(lambda _: f.SettingsFrame(0, {4: 65535})),
            "WINDOW_UPDATE": many(lambda _: f.WindowUpdateFrame(0, 1)),
            "WINDOW_UPDATE of a stream": opened + many(lambda _: f.WindowUpdateFrame(1, 1)),
            "PRIORITY": many(lambda n: f.PriorityFrame(2 * n + 1, depends_on=0, stream_weight=1)),
            "empty DATA": opened + many(lambda _: f.DataFrame(1, b"")),
            "RST_STREAM": resets(),
            "CONTINUATION": begun + many(lambda _: f.ContinuationFrame(1, more)),
            "empty CONTINUATION": begun + many(lambda _: f.ContinuationFrame(1, b"")),
        }

    async def flood(self):
        for name, flood in self.floods().items():
            reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
            preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frames.SettingsFrame(0).serialize()
            writer.write(preface + flood)
            started, ended = time.monotonic(), False
            try:
                while time.monotonic() - started < 20 and not ended:
                    ended = not await asyncio.wait_for(reader.read(65536), 20)
            except ConnectionError:
                ended = True
            except asyncio.TimeoutError:
                pass
            writer.close()
            self.check(ended, f"a flood of {name} ends the connection")
            async with self.client() as victim:
                _, answer = victim.begin("GET", PUBLIC, self.gateway.host)
                await asyncio.wait_for(answer.ended.wait(), 10)
                self.check(answer.status == 200, f"nobody notices a flood of {name}", answer.status)
        self.check(self.gateway.process.poll() is None, "the gateway lives")

    # Event streams.

    async def sign_out(self, streams):
        leaving, staying = [await asyncio.to_thread(self.gateway.sign_in) for _ in range(2)]
        clients = [await self.client().__aenter__() for _ in range(max(2, streams // 45))]
        opened = []
        for number in range(streams + streams // 10):
            mine = number < streams
            fields = [("cookie", leaving if mine else staying)]
            _, answer = clients[number % len(clients)].begin("GET", f"/events?{number}", self.gateway.host, fields)
            opened.append((mine, answer))
        for _, answer in opened:
            await asyncio.wait_for(answer.begun.wait(), 60)
        self.check(all(answer.status == 200 for _, answer in opened), "every stream opens")
        sockets = [(cookie, await self.web_socket(cookie)) for cookie in [leaving] * (5 * streams) + [staying] * streams]
        await asyncio.to_thread(self.post_logout, leaving)
        started = time.monotonic()
        for mine, answer in opened:
            if mine:
                await asyncio.wait_for(answer.ended.wait(), 20)
        for cookie, (reader, _) in sockets:
            if cookie == leaving:
                await asyncio.wait_for(reader.read(), 20)
        took = time.monotonic() - started
        self.check(took < 5, "the streams of a session end within five seconds of its sign-out", took)
        codes = {answer.reset for mine, answer in opened if mine}
        self.check(codes == {CANCEL}, "a stream that ends early does not look complete", codes)
        alive = [not answer.ended.is_set() for mine, answer in opened if not mine]
        self.check(all(alive), "the streams of others on the same connections go on", alive)
        ended = [reader.at_eof() for cookie, (reader, _) in sockets if cookie == staying]
        self.check(not any(ended), "the WebSockets of others go on", ended.count(True))
        for client in clients:
            _, answer = client.begin("GET", PUBLIC, self.gateway.host)
            await asyncio.wait_for(answer.ended.wait(), 20)
            self.check(answer.status == 200, "the connections go on", answer.status)
            await client.__aexit__()
        for _, (_, writer) in sockets:
            writer.close()
        print(
            f"{streams} streams of {len(opened)} on {len(clients)} connections, and {5 * streams} WebSockets of"
            f" {len(sockets)}, ended in {took:.2f} s"
        )

    async def web_socket(self, cookie):
        """An open WebSocket: its reader and writer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        host = self.gateway.host
        writer.write(
            f"GET /socket HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nCookie: {cookie}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: q83vEjRWeJC6vN7wEjRWeA==\r\n\r\n".encode()
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        self.check(head.startswith(b"HTTP/1.1 101 "), "a WebSocket opens", head[:100])
        await asyncio.wait_for(reader.readexactly(5), 20)
        return reader, writer

    def post_logout(self, cookie):
        host = self.gateway.host
        headers = {"Host": host, "Origin": f"http://{host}", "Cookie": cookie, "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.gateway.port}/api/logout"
        with urllib.request.urlopen(urllib.request.Request(url, b"{}", headers, method="POST"), timeout=20) as answer:
            self.check(answer.status == 204, "the sign-out is answered", answer.status)


async def play(modules, h11, binary, requests, streams, seed):
    application = Application(h11)
    server = await asyncio.start_server(application.serve, "127.0.0.1", 0, backlog=4096)
    with tempfile.TemporaryDirectory(prefix="vestibule-http2-") as directory:
        port = server.sockets[0].getsockname()[1]
        gateway = await asyncio.to_thread(gateways.Gateway, binary, directory, port, "10m")
        run = Run(modules, gateway, application, seed)
        try:
            started = time.monotonic()
            await run.mixed(requests)
            print(
                f"seed {seed}: {requests} requests, {application.seen} seen by the application on"
                f" {application.connections} connections, {time.monotonic() - started:.0f} s"
            )
            run.check(application.seen > requests / 3, "most requests are forwarded", application.seen)
            await run.flood()
            await run.sign_out(streams)
        finally:
            await asyncio.to_thread(gateway.stop)
    server.close()
    return run


def libraries():
    """The modules of h2 and of what it is made of, and h11, installed where they are not yet."""
    what = "HTTP/2 clients before a strict application"
    or_skipped(what, installed_modules, "http2-clients", HERE / "requirements-http2.txt")
    import h2.config
    import h2.connection
    import h2.events
    import h2.exceptions
    import h11
    import hpack
    import hyperframe.frame

    return (h2, hyperframe.frame, hpack), h11


def main():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    modules, h11 = libraries()
    requests = int(sys.argv[2]) if len(sys.argv) > 2 else 4000
    streams = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    seed = sys.argv[4] if len(sys.argv) > 4 else str(random.SystemRandom().randrange(1 << 32))
    run = asyncio.run(play(modules, h11, sys.argv[1], requests, streams, seed))
    print(f"{run.passed} passed, {len(run.failures)} failed")
    sys.exit(1 if run.failures else 0)


if __name__ == "__main__":
    main()
