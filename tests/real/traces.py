#!/usr/bin/env python3
"""Traces at rotel, a collector for OpenTelemetry from PyPI: traces.py VESTIBULE_BINARY.

A visitor signs in and asks for a page, a client's trace goes on, an upstream is gone. What rotel prints of the spans is
the tree that the guide promises, and holds no secret. While rotel is away, requests are served and the loss is counted.
Prints `N passed, N failed`; exits 77, saying why, where rotel cannot be installed.
"""

import http.client
import re
import socket
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from gateway import CONFIG, EMAIL, PASSWORD, Served, free_port, write_users  # noqa: E402
from installed import or_skipped, virtual_environment  # noqa: E402
from webdriver import until  # noqa: E402

TELEMETRY = """
[telemetry]
otlp = "http://127.0.0.1:{collector}"
sample = 1.0

[[sites]]
name = "dead"
origin = "http://dead.localhost:{port}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
upstreams = ["http://127.0.0.1:{dead}"]
default_access = "public"
"""
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "hush-4711"


class Application(BaseHTTPRequestHandler):
    """Keeps the `traceparent` of every request."""

    seen = []

    def do_GET(self):
        self.seen.append(self.headers["traceparent"])
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class Rotel:
    """The collector, and what it prints."""

    def __init__(self, program, directory):
        self.port, self.program, self.printed = free_port(), program, Path(directory) / "rotel.log"
        self.pid_file, self.process = Path(directory) / "rotel.pid", None

    def start(self):
        command = [self.program, "start", "--otlp-http-endpoint", f"127.0.0.1:{self.port}"]
        command += ["--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}", "--pid-file", self.pid_file]
        command += ["--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"]
        with open(self.printed, "w") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        until(self.listens, what="rotel")

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()

    def spans(self):
        """The spans that were printed, each with its attributes."""
        spans = []
        for text in re.split(r"^Span #\d+$", self.printed.read_text(), flags=re.M)[1:]:
            fields = dict(re.findall(r"^ {4}(\S[^:]*?) *: (.*)$", text, flags=re.M))
            text = text.partition("ResourceSpans #")[0]
            fields["attributes"] = dict(re.findall(r"^ +-> (\S+): \w+\((.*)\)$", text, flags=re.M))
            spans.append(fields)
        return spans


def get(gateway, host, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    connection.request("GET", path, headers={"Host": f"{host}:{gateway.port}", **headers})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def one(spans, path):
    """The span of the request for this path, and those that are parts of it, by name."""
    request = next(span for span in spans if span["attributes"].get("url.path") == path)
    return request, parts(spans, request)


def parts(spans, parent):
    return {span["Name"]: span for span in spans if span.get("Parent ID") == parent["ID"]}


def played(gateway, rotel):
    """What a visitor, a client and an unlucky one do, until the gateway has ended."""
    cookie = gateway.sign_in()
    assert get(gateway, "localhost", f"/orders?token={SECRET}", Cookie=cookie) == 200
    assert get(gateway, "localhost", "/public", traceparent=f"00-{TRACE}-{PARENT}-00") == 200
    assert get(gateway, "dead.localhost", "/lost") == 502
    gateway.stop()
    until(lambda: any(span["attributes"].get("url.path") == "/lost" for span in rotel.spans()), 30, "the last span")
    return cookie


def checks(cookie, spans, printed):
    """Pairs of what is promised and whether it is so."""
    orders, of_orders = one(spans, "/orders")
    public, of_public = one(spans, "/public")
    lost, of_lost = one(spans, "/lost")
    sign_in = next(span for span in spans if span["Name"] == "provider sign_in")
    decision = next(span for span in spans if span["ID"] == sign_in["Parent ID"])
    upstream = of_orders["upstream"]
    yield "a request is a server's span", orders["Kind"] == "SPAN_KIND_SERVER"
    yield "its decision and the call to the application are parts of it", set(of_orders) == {"decision", "upstream"}
    yield "the call to the provider is a part of a decision", decision["Name"] == "decision"
    yield "the application gets the id of the call to it", f"00-{orders['Trace ID']}-{upstream['ID']}-01" in Application.seen
    yield "a client's trace goes on", (public["Trace ID"], public["Parent ID"]) == (TRACE, PARENT)
    yield "and its parts are in it", {span["Trace ID"] for span in of_public.values()} == {TRACE}
    yield "the rule is in the name", public["Name"] == "GET /public"
    yield "an upstream that is gone is an error", of_lost["upstream"]["Status code"] == "STATUS_CODE_ERROR"
    yield "and so is the request", lost["Status code"] == "STATUS_CODE_ERROR"
    yield "the resource is the gateway", "service.name: Str(vestibule)" in printed
    secrets = [SECRET, EMAIL, PASSWORD, *(pair.partition("=")[2] for pair in cookie.split("; "))]
    yield "no secret is in any span", not any(secret in printed for secret in secrets)


def is_away(gateway, rotel):
    """Pairs of what is promised while there is no collector and whether it is so."""
    rotel.stop()
    gateway.start()
    yield "requests are served without a collector", get(gateway, "localhost", "/public") == 200
    until(lambda: gateway.metric(("vestibule_spans_dropped_total", "export_failed")) >= 3, 30, "the loss")
    yield "the loss is counted", True
    yield "and told once", gateway.log_text().count("traces were dropped") == 1


class Gateway(Served):
    """Can be started again after its end."""

    def start(self):
        self.log = open(self.directory / "vestibule.log", "a")
        super().start()

    def log_text(self):
        return (self.directory / "vestibule.log").read_text()


def main():
    binary = Path(sys.argv[1]).resolve()
    environment = or_skipped("rotel", virtual_environment, "rotel", HERE / "requirements-rotel.txt")
    program = next(Path(environment).parent.glob("lib/python*/site-packages/rotel/rotel-agent"))
    application = ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=application.serve_forever, daemon=True).start()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-traces-") as directory:
        rotel = Rotel(program, directory)
        rotel.start()
        write_users(binary, Path(directory) / "users.toml", "1h")
        ports = {"port": free_port(), "admin": free_port(), "dead": free_port(), "collector": rotel.port}
        config = (CONFIG + TELEMETRY).format(directory=directory, upstream=application.server_port, workers=1, **ports)
        gateway = Gateway(binary, directory, config, ports["port"], ports["admin"], f"localhost:{ports['port']}")
        try:
            cookie = played(gateway, rotel)
            found = [*checks(cookie, rotel.spans(), rotel.printed.read_text()), *is_away(gateway, rotel)]
        finally:
            gateway.stop()
            rotel.stop()
    for what, holds in found:
        print(f"{'ok' if holds else 'FAILED'}: {what}", flush=True)
        passed, failed = passed + holds, failed + (not holds)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
