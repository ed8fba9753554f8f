#!/usr/bin/env python3
"""Prometheus's own check of the metrics page: metrics.py VESTIBULE_BINARY. Prints `N passed, N failed`."""

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gateway import Gateway, free_port  # noqa: E402


def main():
    with tempfile.TemporaryDirectory(prefix="vestibule-metrics-") as directory:
        # Nothing listens there: failures are counted too.
        gateway = Gateway(sys.argv[1], directory, free_port(), "2s")
        try:
            gateway.sign_in()
            gateway.form(gateway.host, "GET")
            _, page = gateway.ask("/metrics")
        finally:
            gateway.stop()
    said = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    print(said.stdout + said.stderr, end="")
    # promtool accepts an empty page.
    passed = said.returncode == 0 and "vestibule_requests_total{" in page
    print(f"{int(passed)} passed, {int(not passed)} failed")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
