#!/usr/bin/env python3
"""TLS as scanners and crowds see it: tls.py VESTIBULE_BINARY.

Debian's testssl.sh and PyPI's sslyze find nothing above "low"; TLS 1.0 and 1.1 are refused; certificates are swapped
under load without a failed request; ten thousand idle connections fit into 400 MiB. Installs sslyze into a virtual
environment beside the binary's target directory. Prints `N passed, N failed`.
"""

import http.client
import json
import os
import resource
import select
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from gateway import Served, free_port, write_users  # noqa: E402
from installed import or_skipped, virtual_environment  # noqa: E402
from tls_listener import LISTENERS, NAME, Authority  # noqa: E402

IDLE = int(os.environ.get("IDLE", "10000"))
IDLE_MIB = 400
CONFIG = LISTENERS + """[server.limits]
connections_per_address = 20000
keep_alive = "10m"

[log]
level = "warn"

[[sites]]
name = "store"
origin = "https://store.example.com"
application_id = "store"
upstreams = ["http://127.0.0.1:9"]
hsts = "365d"
"""
# What testssl.sh finds of a private authority, and says nothing of TLS.
ABOUT_THE_AUTHORITY = {"cert_chain_of_trust", "cert_trust", "cert_ocspRevoked", "cert_crlRevoked", "cert_revocation",
                       "cert_validityPeriod", "cert_extlifeSpan", "DNS_CAArecord", "overall_grade", "cert_notAfter",
                       "cert_expirationStatus", "cert_commonName_wo_SNI", "scanTime", "OCSP_stapling"}  # fmt: skip

passed = failed = 0


def check(what, holds, detail=""):
    global passed, failed
    if holds:
        passed += 1
    else:
        failed += 1
        print(f"FAILED: {what} {detail}")


def connect(gateway, context):
    connection = socket.create_connection(("127.0.0.1", gateway.port), 20)
    return context.wrap_socket(connection, server_hostname=NAME)


def versions(gateway, authority):
    for version, accepted in [
        (ssl.TLSVersion.TLSv1, False),
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ]:
        context = authority.context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        try:
            connect(gateway, context).close()
            check(f"{version.name} is refused", accepted)
        except OSError as error:
            check(f"{version.name} is accepted", not accepted, error)


def testssl(gateway, directory):
    report = Path(directory) / "testssl.json"
    subprocess.run(
        ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--jsonfile", str(report),
         f"https://{NAME}:{gateway.port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=900,
    )  # fmt: skip
    findings = json.loads(report.read_text())
    check("testssl.sh looked at it", len(findings) > 60, len(findings))
    grave = [
        (finding["id"], finding["severity"], finding["finding"])
        for finding in findings
        if finding["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")
        and finding["id"].split(" ")[0] not in ABOUT_THE_AUTHORITY
    ]
    check("testssl.sh finds nothing above low", not grave, grave)


def sslyze(gateway, directory):
    wanted = HERE / "requirements-sslyze.txt"
    programs = or_skipped("sslyze", virtual_environment, "sslyze-venv", wanted)
    report = Path(directory) / "sslyze.json"
    subprocess.run(
        [programs / "sslyze", f"--json_out={report}", "--mozilla_config=disable", "--sni", NAME,
         "--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--heartbleed", "--openssl_ccs",
         "--compression", "--reneg", "--early_data", "--robot", f"127.0.0.1:{gateway.port}"],
        stdout=subprocess.DEVNULL, timeout=600,
    )  # fmt: skip
    (scan,) = json.loads(report.read_text())["server_scan_results"]
    results = {name: attempt["result"] for name, attempt in scan["scan_result"].items() if attempt}
    for version in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"]:
        check(f"sslyze: {version} is refused", not results[f"{version}_cipher_suites"]["accepted_cipher_suites"])
    for version in ["tls_1_2", "tls_1_3"]:
        suites = results[f"{version}_cipher_suites"]["accepted_cipher_suites"]
        names = [suite["cipher_suite"]["name"] for suite in suites]
        sound = all("GCM" in name or "CHACHA20" in name for name in names)
        check(f"sslyze: {version} has authenticated ciphers only", names and sound, names)
    check("sslyze: no Heartbleed", not results["heartbleed"]["is_vulnerable_to_heartbleed"])
    check("sslyze: no CCS injection", not results["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"])
    check("sslyze: no compression", not results["tls_compression"]["supports_compression"])
    check("sslyze: no renegotiation by clients",
          not results["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"])  # fmt: skip
    check("sslyze: no early data", not results["tls_1_3_early_data"]["supports_early_data"])


def swap(gateway, authority):
    """Certificates that change while requests come, over kept connections and new ones."""
    context, going, troubles, served, serials = authority.context(), [True], [], [0], set()

    def requests(kept):
        connection = None
        while going:
            try:
                if connection is None or not kept:
                    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
                    connection.sock = connect(gateway, context)
                    serials.add(connection.sock.getpeercert()["serialNumber"])
                connection.request("GET", "/_vestibule/health", headers={"Host": NAME})
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200
                served[0] += 1
            except (AssertionError, OSError, http.client.HTTPException) as trouble:
                troubles.append(repr(trouble))
                connection = None

    threads = [threading.Thread(target=requests, args=(number % 2 == 0,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        before = len(serials)
        authority.issue()
        # Looked at every five seconds; the first look may see one of the two files.
        deadline = time.monotonic() + 12
        while len(serials) == before and time.monotonic() < deadline:
            time.sleep(0.1)
    going.clear()
    for thread in threads:
        thread.join()
    check("every new certificate was shown within seconds", len(serials) == 5, len(serials))
    check("requests were served meanwhile", served[0] > 500, served[0])
    check("none of them failed", not troubles, (len(troubles), troubles[:3]))


def resident(gateway):
    return gateway.metric("process_resident_memory_bytes") / 1024 / 1024


def crowd(gateway, authority):
    """Idle connections, each after one request."""
    context, before, open_ones = authority.context(), resident(gateway), []
    request = f"GET /_vestibule/health HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
    for _ in range(IDLE):
        stream = connect(gateway, context)
        stream.sendall(request)
        assert stream.recv(4096).startswith(b"HTTP/1.1 200")
        open_ones.append(stream)
    used = resident(gateway)
    print(f"{len(open_ones)} idle connections: {used:.0f} MiB resident, {used - before:.0f} MiB more than before")
    check("idle connections are small", used <= IDLE_MIB, used)
    open_count = gateway.metric(("vestibule_connections", "http1"))
    check("they are counted", open_count >= IDLE, open_count)
    # `select` takes no more than a thousand.
    poll = select.poll()
    for stream in open_ones:
        poll.register(stream, select.POLLIN)
    readable = {descriptor for descriptor, _ in poll.poll(0)}
    closed = [stream for stream in open_ones if stream.fileno() in readable]
    check("none was closed", not [stream for stream in closed if not stream.pending() and is_closed(stream)])
    for stream in open_ones:
        stream.close()


def is_closed(stream):
    stream.setblocking(False)
    try:
        return stream.recv(1) == b""
    except ssl.SSLWantReadError:
        return False


def main():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    binary = sys.argv[1]
    with tempfile.TemporaryDirectory() as directory:
        authority = Authority(directory)
        authority.issue()
        write_users(binary, Path(directory) / "users.toml", "60s")
        plain, tls, admin = free_port(), free_port(), free_port()
        config = CONFIG.format(directory=directory, plain=plain, tls=tls, admin=admin)
        gateway = Served(binary, directory, config, tls, admin, NAME)
        try:
            versions(gateway, authority)
            swap(gateway, authority)
            crowd(gateway, authority)
            sslyze(gateway, directory)
            testssl(gateway, directory)
        finally:
            gateway.stop()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
