#!/usr/bin/env python3
"""Compares what a request costs the gateway and other proxies: CPU microseconds of user and system time, of all threads.

    side_by_side.py TARGET_DIRECTORY [ROUNDS [SECONDS [BASELINE]]] [--loads LIST] [--connections LIST] [--workers LIST]

All proxies run in front of the same nginx, which answers with 1 KiB, and get the same requests with a cookie of a kilobyte.
Each gets a closed-loop load for SECONDS (0.5) in each of ROUNDS (10). The rounds of the programs that are compared are
interleaved, so that other load on the machine affects all of them alike. A ratio of two programs is the median of their
ratios within each round. As many cores as there are workers serve the proxies; the load and the upstream keep off the first.

Beside the gateway: plain Pingora, which is the minimal program of its guide, on the system's allocator and on the gateway's
(what then remains is the gateway's own work); nginx; and, with one worker only, HAProxy and Envoy, which verify a token with
the same claims in the same cookie. HAProxy has no cache of verified tokens, Envoy's is on. Before anything is measured, each
must pass a request on, and answer 401 to one with a tampered token, an expired one (HAProxy and Envoy) and none. One that
cannot be had is printed as `skipped: NAME: REASON`.

--loads        of clear, tls, http2 and handshakes, separated by commas. All if left out.
               clear: HTTP/1.1 in the clear, by wrk. tls: over TLS, by wrk, beside nginx with the same certificate.
               http2: over TLS, by h2load, with up to ten requests at once on each connection, 2,000 in all at most.
               handshakes: new connections for one request each, 100 at once, by h2load, which resumes no session. s_time of
               OpenSSL makes one at a time, so that each waits for the one before it.
--connections  numbers of client connections. 16,64,400,2000 if left out. All ways of using the gateway, and all algorithms
               of HAProxy, run with the lowest number and one worker.
--workers      numbers of workers. 1,2 if left out.
BASELINE is a gateway of another version: it runs in the same rounds, and the ratio of this version to it is printed.

Exits 1 if a goal is not met, or something could not be measured.
"""

import argparse
import contextlib
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import proxies
import report
from compared import Compared, skipped
from loads import HANDSHAKES, HTTP2, KINDS, Failed, UpstreamCount, load_of
from processes import OTHER_CORES
from tokens import Keys


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("rounds", type=int, nargs="?", default=10)
    parser.add_argument("seconds", type=float, nargs="?", default=0.5)
    parser.add_argument("baseline", type=Path, nargs="?")
    parser.add_argument("--loads", type=lambda text: text.split(","), default=list(KINDS))
    for name, default in {"--connections": [16, 64, 400, 2000], "--workers": [1, 2]}.items():
        parser.add_argument(name, type=lambda text: sorted(map(int, text.split(","))), default=default)
    chosen = parser.parse_intermixed_args()
    if unknown := set(chosen.loads) - set(KINDS):
        parser.error(f"no load: {', '.join(unknown)}")
    return chosen


def measure(setting, programs, chosen, count):
    """The microseconds of each program in each round."""
    with contextlib.ExitStack() as stack:
        loads = []
        for program in programs:
            load = load_of(setting.kind, setting.connections, program, count)
            stack.callback(load.kill)
            load.warm_up()
            loads.append(load)
        samples = {program.name: [] for program in programs}
        for turn in range(chosen.rounds):
            # Rotate the order, so that no program always runs first.
            first = turn % len(loads)
            for load in loads[first:] + loads[:first]:
                samples[load.program.name].append(load.micros(chosen.seconds))
        for load in loads:
            load.end()
    return samples


def settings(chosen):
    """What is measured, in the order of the tables."""
    kinds = list(chosen.loads)
    if not proxies.is_installed("h2load"):
        skipped("HTTP/2 and handshakes", "h2load is not installed")
        kinds = [kind for kind in kinds if kind not in (HTTP2, HANDSHAKES)]
    for kind in [kind for kind in KINDS if kind in kinds]:
        for workers in chosen.workers:
            for connections in [0] if kind == HANDSHAKES else chosen.connections:
                yield report.Setting(kind, workers, connections)


def main():
    chosen = arguments()
    # So that all that was started ends, too.
    for ended in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended, lambda *_: sys.exit(143))
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    results, failures, began = report.Results(), [], time.monotonic()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vestibule-bench-")))
        keys, port, status = Keys(directory), proxies.free_port(), proxies.free_port()
        upstream = proxies.upstream(proxies.Setup(directory, keys, port, 1), status)
        stack.callback(upstream.stop)
        upstream.keep_to_cores(OTHER_CORES)
        count, everything = UpstreamCount(status), {}
        for workers in chosen.workers:
            setup = proxies.Setup(directory / str(workers), keys, port, workers)
            setup.directory.mkdir()
            everything[workers] = Compared(chosen, setup, stack)
        results.idle_mib = everything[chosen.workers[0]].idle_mib
        for setting in settings(chosen):
            is_widest = setting.workers == 1 and setting.connections == chosen.connections[0]
            programs = everything[setting.workers].of_table(setting.kind, is_widest)
            try:
                results.samples[setting] = measure(setting, programs, chosen, count)
                print(f"{time.monotonic() - began:4.0f} s: measured {setting.name()}", flush=True)
            except Failed as why:
                failures.append(f"not measured: {setting.name()}: {why}")
                print(failures[-1], flush=True)
    report.tables(results)
    all_met = report.goals(results)
    print("\n".join(failures))
    sys.exit(0 if all_met and not failures else 1)


if __name__ == "__main__":
    main()
