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
from installed import or_skipped, virtual_environment  # noqa: E402

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
# By default schemathesis takes any 401 for a rejection of what does not fit: an unfit body that was read as a sign-in
# with a wrong password would go unnoticed. What fits may be refused for whom it comes from, or for its size, but never
# as unfit.
SETTINGS = """[checks.negative_data_rejection]
expected-statuses = {unfit}

[checks.positive_data_acceptance]
expected-statuses = {fit}
"""
UNFIT = [400, 405, 413, 415]
FIT = [200, 204, 401, 403, 404, 413]
VISITOR = ["Cookie: {cookies}", "Origin: http://{host}", "Sec-Fetch-Site: same-origin"]
CLIENT = ["Authorization: Bearer {access}"]
BOTH = [*CLIENT, "Vestibule-Refresh-Token: {refresh}"]


def schemathesis():
    """The program, installed where it is not yet."""
    wanted = HERE / "requirements-schemathesis.txt"
    what = "the description of the JSON endpoints"
    return or_skipped(what, virtual_environment, "schemathesis-venv", wanted) / "schemathesis"


def signed_in_client(gateway):
    """The tokens of a client that is no browser."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    body = json.dumps({"loginId": EMAIL, "password": PASSWORD, "tokens": "body"})
    connection.request("POST", "/api/login", body, {"Host": gateway.host, "Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    return answer["token"], answer["refreshToken"]


def with_examples(directory, refresh_token):
    """The description with bodies that no generator guesses: those that are let in, and one that is too large."""
    document = json.loads(DESCRIPTION.read_text())
    known = {"loginId": EMAIL, "password": PASSWORD}
    examples = {
        "/api/login": [known, {**known, "tokens": "body"}, {**known, "password": "p" * 20_000}],
        "/api/refresh": [{"refreshToken": refresh_token}],
    }
    for path, bodies in examples.items():
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        content["examples"] = {f"n{number}": {"value": body} for number, body in enumerate(bodies)}
    path = Path(directory) / "openapi.json"
    path.write_text(json.dumps(document))
    return path


def hold(program, gateway, description, headers, also, more):
    """One run. `also` are statuses that say nothing about what was sent, for this caller."""
    settings = SETTINGS.format(unfit=[*UNFIT, *also], fit=[*FIT, *also])
    (gateway.directory / "schemathesis.toml").write_text(settings)
    # A machine that is busy is no failure.
    command = [program, "run", description, "--url", f"http://{gateway.host}", "--seed", "7", "--max-examples", "60"]
    command += ["--checks", "all", "--suppress-health-check", "too_slow", "--continue-on-failure", "--no-color", *more]
    for header in headers:
        command += ["--header", header]
    return subprocess.run(command, cwd=gateway.directory, capture_output=True, text=True)


def told(output):
    """How many calls were made."""
    counts = [line.strip() for line in output.splitlines() if "generated" in line]
    return counts[-1] if counts else "no count"


def main():
    binary = Path(sys.argv[1]).resolve()
    program = schemathesis()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="vestibule-openapi-") as directory:
        write_users(binary, Path(directory) / "users.toml", "1h")
        port, admin = free_port(), free_port()
        config = CONFIG.format(directory=directory, port=port, admin=admin)
        gateway = Served(binary, directory, config, port, admin, f"localhost:{port}")
        try:
            stay, leave = ["--exclude-path", "/api/logout"], ["--include-path", "/api/logout"]
            callers = {
                "a page of another site": (["Origin: https://evil.example"], [403], []),
                "somebody signed out": ([], [], []),
                "a visitor with cookies": (VISITOR, [], stay),
                "a client with its access token": (CLIENT, [], stay),
                # No schema can say that a token in the body must be the one in the header: fit is answered with 400.
                "a client with both tokens": (BOTH, [400], ["--include-path", "/api/refresh"]),
                "a visitor who leaves": (VISITOR, [], leave),
                "a client that leaves": (CLIENT, [], leave),
            }
            for who, (headers, also, more) in callers.items():
                # Each with a session of its own: what one has ended or used up is nobody else's.
                access, refresh = signed_in_client(gateway)
                words = {"cookies": gateway.sign_in(), "host": gateway.host, "access": access, "refresh": refresh}
                headers = [header.format(**words) for header in headers]
                run = hold(program, gateway, with_examples(directory, refresh), headers, also, more)
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
