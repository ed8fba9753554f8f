#!/usr/bin/env python3
"""gRPC through the gateway, with PyPI's grpcio at both ends: grpc_calls.py VESTIBULE_BINARY.

The application speaks HTTP/2 in the clear (`upstream_protocol = "h2"`), and by ALPN over TLS; so do the clients. Unary
calls, streams one way, the other way and both ways at once, statuses, metadata, deadlines, cancellation, and who is
signed in. Prints `N passed, N failed`; exits 77, saying why, where grpcio cannot be installed.

Not carried: nothing that gRPC uses. Trailers of requests are dropped, and gRPC has none.
"""

import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent import futures
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from gateway import EMAIL, PASSWORD, Served, free_port, write_users  # noqa: E402
from installed import modules, or_skipped  # noqa: E402
from tls_listener import LISTENERS, NAME, Authority  # noqa: E402

CONFIG = LISTENERS + """[log]
level = "warn"

[[sites]]
name = "clear"
origin = "http://localhost:{plain}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
bearer = true
upstreams = ["http://127.0.0.1:{clear}"]
upstream_protocol = "h2"

[[sites.rules]]
path = "/open.Calls/*"
access = "public"

[[sites]]
name = "secure"
origin = "https://{name}:{tls}"
application_id = "85a03867-dccf-4882-adde-1a79aeec50df"
bearer = true
upstreams = [{{ url = "https://127.0.0.1:{secure}", ca = "{directory}/root.pem", server_name = "{name}" }}]

[[sites.rules]]
path = "/open.Calls/*"
access = "public"
"""
# For a machine that is busy with other things.
PATIENCE = 30
MIB = 1 << 20


class Calls:
    """The application's methods, in a service that everybody may call and in one for those who are signed in."""

    def __init__(self, grpc):
        self.grpc, self.waiting, self.cancelled = grpc, threading.Event(), threading.Event()

    def unary(self, request, context):
        told = dict(context.invocation_metadata())
        context.send_initial_metadata([("x-first", "head")])
        context.set_trailing_metadata([("x-last", "trailer"), ("x-bytes-bin", b"\x00\xff")])
        return told.get("x-auth-email", "nobody").encode() if request == b"who" else request

    def stream_out(self, request, context):
        for number in range(int(request)):
            yield b"%d" % number

    def stream_in(self, requests, context):
        return b"%d" % sum(len(request) for request in requests)

    def stream_both(self, requests, context):
        for request in requests:
            yield request

    def fail(self, request, context):
        context.set_trailing_metadata([("x-last", "trailer")])
        context.abort(self.grpc.StatusCode.NOT_FOUND, "no café here")

    def fail_late(self, request, context):
        yield b"one"
        context.abort(self.grpc.StatusCode.DATA_LOSS, "after the first")

    def wait(self, request, context):
        """Waits until the call ends."""
        context.add_callback(self.cancelled.set)
        self.waiting.set()
        self.cancelled.wait(PATIENCE)
        return b""

    def handler(self, service):
        g = self.grpc
        return g.method_handlers_generic_handler(service, {
            "Unary": g.unary_unary_rpc_method_handler(self.unary),
            "Out": g.unary_stream_rpc_method_handler(self.stream_out),
            "In": g.stream_unary_rpc_method_handler(self.stream_in),
            "Both": g.stream_stream_rpc_method_handler(self.stream_both),
            "Fail": g.unary_unary_rpc_method_handler(self.fail),
            "FailLate": g.unary_stream_rpc_method_handler(self.fail_late),
            "Wait": g.unary_unary_rpc_method_handler(self.wait),
        })  # fmt: skip


class Run:
    def __init__(self, grpc, calls, what, channel):
        self.grpc, self.calls, self.what, self.channel = grpc, calls, what, channel
        self.passed, self.failed = 0, 0

    def check(self, good, what, detail=""):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        if not good:
            print(f"FAILED: {self.what}: {what}: {detail!r}")

    def error(self, call):
        """The error that a call ends with."""
        try:
            call()
        except self.grpc.RpcError as error:
            return error
        return None

    def messages(self):
        open_to_all = "/open.Calls/"
        unary = self.channel.unary_unary(f"{open_to_all}Unary")
        answer, call = unary.with_call(b"hello", timeout=PATIENCE)
        self.check(answer == b"hello", "a unary call is answered", answer)
        self.check(("x-first", "head") in call.initial_metadata(), "metadata arrives", call.initial_metadata())
        last = dict(call.trailing_metadata())
        self.check((last.get("x-last"), last.get("x-bytes-bin")) == ("trailer", b"\x00\xff"), "trailers arrive", last)
        large = bytes(3 * MIB)
        self.check(unary(large, timeout=PATIENCE) == large, "large messages arrive")
        squeezed = unary(large, timeout=PATIENCE, compression=self.grpc.Compression.Gzip)
        self.check(squeezed == large, "compressed messages arrive")
        got = list(self.channel.unary_stream(f"{open_to_all}Out")(b"1000", timeout=PATIENCE))
        self.check(got == [b"%d" % n for n in range(1000)], "the server streams", len(got))
        got = self.channel.stream_unary(f"{open_to_all}In")((b"x" * n for n in range(1000)), timeout=PATIENCE)
        self.check(got == b"499500", "the client streams", got)
        self.both_ways(self.channel.stream_stream(f"{open_to_all}Both"))
        with futures.ThreadPoolExecutor(50) as many:
            got = list(many.map(lambda n: unary(b"%d" % n, timeout=PATIENCE), range(500)))
        self.check(got == [b"%d" % n for n in range(500)], "calls at once get their own answers")

    def both_ways(self, method):
        """Each message is sent when the one before has come back."""
        turn, done = threading.Semaphore(1), []

        def requests():
            for number in range(200):
                turn.acquire(timeout=PATIENCE)
                yield b"%d" % number

        for answer in method(requests(), timeout=PATIENCE):
            done.append(answer)
            turn.release()
        self.check(done == [b"%d" % n for n in range(200)], "both stream, message by message", len(done))

    def ends(self):
        code = self.grpc.StatusCode
        failed = self.error(lambda: self.channel.unary_unary("/open.Calls/Fail")(b"", timeout=PATIENCE))
        self.check(
            (failed.code(), failed.details()) == (code.NOT_FOUND, "no café here")
            and ("x-last", "trailer") in failed.trailing_metadata(),
            "a status without a message arrives", failed,
        )  # fmt: skip
        late = self.channel.unary_stream("/open.Calls/FailLate")(b"", timeout=PATIENCE)
        got = [next(late)]
        failed = self.error(lambda: next(late))
        self.check((got, failed.code()) == ([b"one"], code.DATA_LOSS), "a status behind messages arrives", failed)
        wait = self.channel.unary_unary("/open.Calls/Wait")
        self.begin_wait()
        started = time.monotonic()
        failed = self.error(lambda: wait(b"", timeout=2))
        took = time.monotonic() - started
        self.check(failed.code() == code.DEADLINE_EXCEEDED and took < 10, "a deadline ends the call", (failed, took))
        self.check(self.calls.cancelled.wait(10), "the application notices the deadline")
        self.begin_wait()
        call = wait.future(b"", timeout=PATIENCE)
        self.check(self.calls.waiting.wait(PATIENCE), "the call has begun")
        call.cancel()
        self.check(self.calls.cancelled.wait(10), "the application notices that the call was cancelled")
        self.check(self.channel.unary_unary("/open.Calls/Unary")(b"on", timeout=PATIENCE) == b"on", "other calls go on")

    def begin_wait(self):
        self.calls.waiting.clear()
        self.calls.cancelled.clear()

    def identity(self, token):
        unary = self.channel.unary_unary("/closed.Calls/Unary")
        failed = self.error(lambda: unary(b"who", timeout=PATIENCE))
        self.check(failed.code() == self.grpc.StatusCode.UNAUTHENTICATED, "nobody is let in who is not signed in", failed)
        got = unary(b"who", timeout=PATIENCE, metadata=[("authorization", f"Bearer {token}"), ("x-auth-email", "forged")])
        self.check(got == EMAIL.encode(), "the application is told who calls", got)
        got = self.channel.unary_unary("/open.Calls/Unary")(b"who", timeout=PATIENCE, metadata=[("x-auth-email", "forged")])
        self.check(got == b"nobody", "nobody names himself", got)

    def gone(self, server):
        server.stop(0).wait()
        failed = self.error(lambda: self.channel.unary_unary("/open.Calls/Unary")(b"", timeout=PATIENCE))
        self.check(failed.code() == self.grpc.StatusCode.UNAVAILABLE, "an application that is gone is unavailable", failed)


def token(port, context, host):
    scheme = "https" if context else "http"
    body = json.dumps({"loginId": EMAIL, "password": PASSWORD, "tokens": "body"}).encode()
    request = urllib.request.Request(
        f"{scheme}://127.0.0.1:{port}/api/login", body, {"Host": host, "Content-Type": "application/json"}
    )
    if context:
        context.check_hostname = False
    with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as answer:
        return json.load(answer)["token"]


def serve(grpc, calls, port, credentials):
    server = grpc.server(futures.ThreadPoolExecutor(100))
    server.add_generic_rpc_handlers((calls.handler("open.Calls"), calls.handler("closed.Calls")))
    if credentials:
        server.add_secure_port(f"127.0.0.1:{port}", credentials)
    else:
        server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server


def play(grpc, binary, directory):
    authority = Authority(directory)
    authority.issue()
    write_users(binary, directory / "users.toml", "10m")
    pair = ((directory / "key.pem").read_bytes(), (directory / "cert.pem").read_bytes())
    plain, tls, admin, clear_port, secure_port = [free_port() for _ in range(5)]
    config = CONFIG.format(
        directory=directory, plain=plain, tls=tls, admin=admin, name=NAME, clear=clear_port, secure=secure_port
    )
    # Before grpcio has threads, which do not survive a fork.
    gateway = Served(binary, directory, config, plain, admin, f"localhost:{plain}")
    calls = Calls(grpc)
    clear = serve(grpc, calls, clear_port, None)
    secure = serve(grpc, calls, secure_port, grpc.ssl_server_credentials([pair]))
    roots = grpc.ssl_channel_credentials((directory / "root.pem").read_bytes())
    named = [("grpc.ssl_target_name_override", NAME), ("grpc.default_authority", f"{NAME}:{tls}")]
    passed = failed = 0
    try:
        for what, channel, secret, server in [
            ("in the clear", grpc.insecure_channel(f"localhost:{plain}"), token(plain, None, f"localhost:{plain}"), clear),
            ("over TLS", grpc.secure_channel(f"127.0.0.1:{tls}", roots, named),
             token(tls, authority.context(), f"{NAME}:{tls}"), secure),
        ]:  # fmt: skip
            with channel:
                run = Run(grpc, calls, what, channel)
                run.messages()
                run.ends()
                run.identity(secret)
                run.gone(server)
            passed, failed = passed + run.passed, failed + run.failed
    finally:
        gateway.stop()
        clear.stop(0)
        secure.stop(0)
    print(f"{passed} passed, {failed} failed")
    return failed == 0


def library():
    """The module `grpc`, installed where it is not yet."""
    or_skipped("gRPC", modules, "grpc-client", HERE / "requirements-grpc.txt")
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    import grpc

    return grpc


def main():
    grpc = library()
    with tempfile.TemporaryDirectory(prefix="vestibule-grpc-") as directory:
        sys.exit(0 if play(grpc, sys.argv[1], Path(directory)) else 1)


if __name__ == "__main__":
    main()
