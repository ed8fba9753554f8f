#!/usr/bin/env python3
"""Compares what a signed-in request costs with and without logs, metrics and traces: CPU microseconds, as side_by_side.py
measures them.

    telemetry.py VESTIBULE_BINARY [ROUNDS [SECONDS]]

The gateway runs with `log.level = "warn"`; with an access record of each request, as JSON in a file; with its metrics scraped
each second besides; and with one request in a hundred traced besides, for a collector on this machine. One worker, 16
connections. Exits 1 where all of them take more than 1.10 times the CPU of the first."""

import contextlib
import http.server
import statistics
import sys
import tempfile
import threading
from pathlib import Path

import proxies
from checks import Program, check
from gateways import SignedInCookies
from loads import CLEAR, Requests, UpstreamCount
from processes import CORES, OTHER_CORES, Process
from tokens import Keys

import gateway as served
from gateway import Gateway

CONNECTIONS, GOAL = 16, 1.10
RECORDS = ('level = "warn"', 'level = "info"')
TRACES = "\n[telemetry]\notlp = \"http://127.0.0.1:{collector}\"\nsample = 0.01\n"


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes spans and forgets them."""

    protocol_version = "HTTP/1.1"
    received = 0

    def do_POST(self):
        Collector.received += len(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def scrape(gateway, stop):
    while not stop.wait(1):
        gateway.ask("/metrics")


def variants(binary, directory, upstream, stack):
    """The gateways with more and more of it, as programs."""
    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    stack.callback(collector.shutdown)
    plain, stop = served.CONFIG, threading.Event()
    stack.callback(stop.set)
    records = plain.replace(*RECORDS)
    traces = records + TRACES.replace("{collector}", str(collector.server_port))
    programs = []
    for name, config, is_scraped in [
        ("log level warn", plain, False),
        ("and access records", records, False),
        ("and metrics each second", records, True),
        ("and traces of 1 %", traces, True),
    ]:
        folder = directory / name.replace(" ", "-").replace("%", "")
        folder.mkdir()
        served.CONFIG = config
        gateway = Gateway(binary, folder, upstream, "1h", 1)
        stack.callback(gateway.stop)
        if is_scraped:
            threading.Thread(target=scrape, args=(gateway, stop), daemon=True).start()
        process = Process(name, gateway.process, gateway.port)
        host = f"localhost:{gateway.port}"
        cookies = SignedInCookies(gateway, host)
        programs.append(Program(name, process, gateway.port, host=host, cookie=cookies, refused=cookies.refused))
    return programs


def main(binary, rounds, seconds):
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vestibule-bench-")))
        port, status = proxies.free_port(), proxies.free_port()
        upstream = proxies.upstream(proxies.Setup(directory, Keys(directory), port, 1), status)
        stack.callback(upstream.stop)
        upstream.keep_to_cores(OTHER_CORES)
        count = UpstreamCount(status)
        programs = variants(binary, directory, port, stack)
        loads = []
        for program in programs:
            check(program, proxies.ANSWER)
            program.process.keep_to_cores({CORES[0]})
            load = Requests(CLEAR, CONNECTIONS, program, count)
            stack.callback(load.kill)
            load.warm_up()
            loads.append(load)
        samples = {program.name: [] for program in programs}
        for turn in range(rounds):
            first = turn % len(loads)
            for load in loads[first:] + loads[:first]:
                samples[load.program.name].append(load.micros(seconds))
        for load in loads:
            load.end()
    base = samples[programs[0].name]
    for name, micros in samples.items():
        ratio = statistics.median(one / other for one, other in zip(micros, base))
        print(f"{name:26} {statistics.median(micros):6.1f} µs a request, {ratio:.3f}")
    print(f"{Collector.received} bytes of spans")
    assert Collector.received, "no span arrived"
    sys.exit(0 if ratio <= GOAL else 1)


if __name__ == "__main__":
    rounds, seconds = (sys.argv[2:] + ["20", "0.5"][len(sys.argv) - 2:])[:2]
    main(sys.argv[1], int(rounds), float(seconds))
