"""The processes of the programs that are measured: their CPU time, memory and cores."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0))
# The load and the upstream keep off the first core, where there is more than one.
OTHER_CORES = set(CORES[1:] or CORES)


class Process:
    """A running program with its child processes, which listens on `port`."""

    def __init__(self, name, command, port):
        self.name = name
        self.process = command if isinstance(command, subprocess.Popen) else subprocess.Popen(command)
        deadline = time.monotonic() + 20
        while not self.listens(port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise SystemExit(f"{name} does not listen on port {port}")
            time.sleep(0.05)

    def listens(self, port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    def pids(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def keep_to_cores(self, cores):
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(task), cores)

    def cpu_micros(self):
        """User and system time of all threads, also of those that have ended: what `/proc/PID/stat` rounds to 10 ms."""
        return sum(time.clock_gettime_ns(cpu_clock(pid)) for pid in self.pids()) / 1000

    def resident_mib(self):
        kib = 0
        for pid in self.pids():
            kib += int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
        return kib / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        # Pingora waits for minutes for connections that nobody has any more.
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def cpu_clock(pid):
    """The clock of a process's CPU time, as clock_getcpuclockid(3) gives it. Python has no call for another process's."""
    return (~pid << 3) | 2


def established(port):
    """How many connections to a port of this machine are established."""
    ends = re.findall(r"^ *\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F:]+ 01 ", Path("/proc/net/tcp").read_text(), re.MULTILINE)
    return ends.count(f"{port:04X}")
