#!/usr/bin/env python3
"""The dashboard and the alerts with a live Prometheus and Alertmanager: observability.py VESTIBULE_BINARY.

Visitors sign in, renew, mistype passwords and meet a dead upstream. Every query of every panel has data. A refused
configuration and a stopped gateway are told by Alertmanager, and the first clears again. Prints `N passed, N failed`.
"""

import asyncio
import http.server
import json
import re
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from crowd import application  # noqa: E402
from gateway import PASSWORD, Gateway, free_port  # noqa: E402
from webdriver import until  # noqa: E402

OBSERVABILITY = Path(__file__).resolve().parents[2] / "packaging" / "observability"
sys.path.insert(0, str(OBSERVABILITY))
import dashboard  # noqa: E402

# Where Grafana has variables.
VARIABLES = {"$instance": ".*", "$site": ".*", "$__rate_interval": "10s"}
DEAD = """
[[sites]]
name = "dead"
origin = "http://dead.localhost:{port}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
upstreams = ["http://127.0.0.1:{dead}"]
[[sites.rules]]
path = "/*"
access = "public"
"""


class Receiver(http.server.BaseHTTPRequestHandler):
    """What Alertmanager tells: names of alerts with their state."""

    told = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.told += [(alert["labels"]["alertname"], alert["status"]) for alert in body["alerts"]]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def configure(gateway, directory):
    """A TLS listener and a site whose upstream is gone, beside what the gateway has."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", f"{directory}/tls.key", "-out", f"{directory}/tls.pem"],
        check=True, capture_output=True,
    )
    tls = f'[[server.tls]]\nlisten = "127.0.0.1:{free_port()}"\ncertificates = [{{ cert = "tls.pem", key = "tls.key" }}]\n\n'
    text = gateway.config.read_text().replace("[providers.local]", tls + "[providers.local]")
    gateway.config.write_text(text + DEAD.format(port=gateway.port, dead=free_port()))


def serve(directory, gateway):
    """Prometheus and Alertmanager, and where they listen."""
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    prometheus, manager = free_port(), free_port()
    # An operator waits for minutes; the expressions are the same.
    rules = re.sub(r"for: \w+", "for: 1s", (OBSERVABILITY / "alerts.yaml").read_text())
    (directory / "alerts.yml").write_text(rules)
    (directory / "prometheus.yml").write_text(f"""
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: [alerts.yml]
alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: ["127.0.0.1:{manager}"] }}] }}] }}
scrape_configs: [{{ job_name: vestibule, static_configs: [{{ targets: ["127.0.0.1:{gateway.admin}"] }}] }}]
""")
    (directory / "alertmanager.yml").write_text(f"""
route: {{ receiver: people, group_by: [alertname], group_wait: 0s, group_interval: 1s }}
receivers: [{{ name: people, webhook_configs: [{{ url: "http://127.0.0.1:{receiver.server_port}/", send_resolved: true }}] }}]
""")
    log = open(directory / "prometheus.log", "w")
    started = [
        subprocess.Popen(
            ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/tsdb",
             f"--web.listen-address=127.0.0.1:{prometheus}"], stdout=log, stderr=log),
        subprocess.Popen(
            ["prometheus-alertmanager", f"--config.file={directory}/alertmanager.yml", f"--storage.path={directory}/am",
             f"--web.listen-address=127.0.0.1:{manager}", "--cluster.listen-address="], stdout=log, stderr=log),
    ]
    return started, f"http://127.0.0.1:{prometheus}"


def query(prometheus, expression):
    """The number of series that an expression has now."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    address = f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(address, timeout=10) as answer:
        return len(json.load(answer)["data"]["result"])


def visit(gateway, until_set):
    """Traffic with faults."""
    cookie = gateway.sign_in()
    while not until_set.is_set():
        for host, path, more in (
            (gateway.host, "/cart", {"Cookie": cookie}), (gateway.host, "/cart", {}), (f"dead.localhost:{gateway.port}", "/", {}),
        ):
            request = urllib.request.Request(f"http://127.0.0.1:{gateway.port}{path}", headers={"Host": host, **more})
            try:
                urllib.request.urlopen(request, timeout=10).read()
            except urllib.error.HTTPError:
                pass
        try:
            gateway.sign_in(password=PASSWORD + "!", email="nobody@example.com")
        except SystemExit:
            pass
        until_set.wait(0.3)


def without_data(prometheus):
    """The panels of which a query has no data."""
    return [
        f"{heading}: {expression}"
        for heading, _, _, queries in dashboard.PANELS
        for expression, _ in queries
        if query(prometheus, expression) == 0
    ]


def panels_have_data(prometheus):
    """Every query of every panel."""
    try:
        until(lambda: not without_data(prometheus), 60, "data for every panel")
    except AssertionError:
        raise AssertionError("no data: " + "; ".join(without_data(prometheus))) from None


def is_generated():
    """dashboard.json is what dashboard.py prints."""
    assert json.loads((OBSERVABILITY / "dashboard.json").read_text()) == dashboard.dashboard(), "run dashboard.py"


def alert_fires_and_clears(gateway):
    """A refused configuration, and then the one before."""
    good = gateway.config.read_text()
    gateway.config.write_text(good + "\nunknown = 1\n")
    until(lambda: ("VestibuleConfigurationRefused", "firing") in Receiver.told, 40, "the alert of a refused configuration")
    gateway.config.write_text(good)
    until(lambda: ("VestibuleConfigurationRefused", "resolved") in Receiver.told, 40, "the end of the alert")


def down_fires(gateway):
    """A gateway that is gone."""
    gateway.kill()
    until(lambda: ("VestibuleDown", "firing") in Receiver.told, 40, "the alert of a gateway that is gone")


def rules_pass():
    """The unit tests of the rules."""
    said = subprocess.run(["promtool", "test", "rules", "alerts_test.yaml"], cwd=OBSERVABILITY, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


async def upstream(ready):
    server = await asyncio.start_server(application, "127.0.0.1", 0)
    ready.put_nowait(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def play(directory):
    ports = asyncio.Queue()
    threading.Thread(target=lambda: asyncio.run(upstream(ports)), daemon=True).start()
    until(lambda: not ports.empty(), what="the upstream")
    gateway = Gateway(sys.argv[1], directory, ports.get_nowait(), "2s")
    configure(gateway, directory)
    gateway.kill()
    gateway.start()
    started, prometheus = serve(directory, gateway)
    stop = threading.Event()
    visitors = threading.Thread(target=visit, args=(gateway, stop))
    visitors.start()
    passed, steps = 0, (
        is_generated, rules_pass, lambda: panels_have_data(prometheus),
        lambda: alert_fires_and_clears(gateway),
    )
    try:
        until(lambda: answers(prometheus), 30, "Prometheus")
        for step in steps:
            try:
                step()
                passed += 1
            except AssertionError as error:
                print(f"fault: {error}")
        stop.set()
        visitors.join()
        down_fires(gateway)
        passed += 1
    finally:
        stop.set()
        for process in started:
            process.terminate()
        for process in started:
            process.wait(20)
        gateway.stop()
    return passed, len(steps) + 1 - passed


def answers(prometheus):
    try:
        return query(prometheus, "up")
    except OSError:
        return 0


def main():
    with tempfile.TemporaryDirectory(prefix="vestibule-observability-") as directory:
        passed, failed = play(Path(directory))
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
