#!/usr/bin/env python3
"""The description of the JSON endpoints, held to the running gateway by schemathesis: openapi.py VESTIBULE_BINARY.

Installs schemathesis into a virtual environment beside the binary's target directory. Thousands of calls, fit and
unfit, by somebody signed out, by a browser's visitor and by a client that is none: no server error, no answer that is
not described, none that does not fit its description. Prints `N passed, N failed`; exits 77, saying why, where
schemathesis cannot be installed.
"""

import http.client
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from gateway import EMAIL, PASSWORD, Served, free_port, write_users  # noqa: E402

DESCRIPTION = HERE.parent.parent / "docs" / "reference" / "openapi.json"
CONFIG = """state_dir = "{directory}/state"

[server]
listen = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"

[providers.local]
kind = "embedded"
users = "{directory}/users.toml"

# Nothing is learnt from a throttle.
[login]
account_limit = {{ attempts = 1000000, per = "1s" }}
address_limit = {{ attempts = 1000000, per = "1s" }}

[log]
level = "warn"

[[sites]]
name = "site"
origin = "http://localhost:{port}"
application_id = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
upstreams = ["http://127.0.0.1:9"]
bearer = true
"""
# `positive_data_acceptance`: a password that fits the schema is still the wrong one.
CHECKS_OFF = "positive_data_acceptance"


def schemathesis(binary):
    """The program, installed where it is not yet."""
    environment = binary.parent.parent / "schemathesis-venv"
    program = environment / "bin" / "schemathesis"
    try:
        if not (environment / "bin" / "pip").exists():
            make = [sys.executable, "-m", "venv", "--clear", str(environment)]
            subprocess.run(make, check=True, capture_output=True, text=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "-q"]
        pip += ["-r", str(HERE / "requirements-schemathesis.txt")]
        subprocess.run(pip, check=True, capture_output=True, text=True, timeout=300)
    except (subprocess.SubprocessError, OSError) as error:
        print(f"skipped: the description of the JSON endpoints: schemathesis cannot be installed: {error}")
        sys.exit(77)
    return program


def signed_in_client(gateway):
    """The headers of a client that is no browser."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    body = json.dumps({"loginId": EMAIL, "password": PASSWORD, "tokens": "body"})
    connection.request("POST", "/api/login", body, {"Host": gateway.host, "Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    return [f"Authorization: Bearer {answer['token']}", f"Vestibule-Refresh-Token: {answer['refreshToken']}"]


def hold(program, gateway, headers, more):
    command = [program, "run", DESCRIPTION, "--url", f"http://{gateway.host}", "--seed", "7", "--max-examples", "100"]
    command += ["--checks", "all", "--exclude-checks", CHECKS_OFF, "--continue-on-failure", "--no-color", *more]
    for header in headers:
        command += ["--header", header]
    return subprocess.run(command, cwd=gateway.directory, capture_output=True, text=True)


def told(output):
    """How many calls were made."""
    counts = [line.strip() for line in output.splitlines() if "generated" in line]
    return counts[-1] if counts else "no count"


def main():
    binary = Path(sys.argv[1]).resolve()
    program = schemathesis(binary)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-openapi-") as directory:
        write_users(binary, Path(directory) / "users.toml", "1h")
        port, admin = free_port(), free_port()
        config = CONFIG.format(directory=directory, port=port, admin=admin)
        gateway = Served(binary, directory, config, port, admin, f"localhost:{port}")
        try:
            stay = ["--exclude-path", "/api/logout"]
            callers = {
                "somebody signed out": ([], []),
                "a visitor with cookies": ([f"Cookie: {gateway.sign_in()}"], stay),
                "a client that is no browser": (signed_in_client(gateway), stay),
            }
            for who, (headers, more) in callers.items():
                run = hold(program, gateway, headers, more)
                if run.returncode == 0:
                    print(f"ok: {who}: {told(run.stdout)}", flush=True)
                    passed += 1
                else:
                    print(f"FAILED: {who}\n{run.stdout}\n{run.stderr}", flush=True)
                    failed += 1
        finally:
            gateway.stop()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
