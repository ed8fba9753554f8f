"""FusionAuth's own Python client against the embedded identity server.

    cargo build --example identity_server
    python3 tests/real/fusionauth_client.py target/debug/examples/identity_server

Installs the client into a virtual environment beside the binary's target directory, starts the server on a fresh
state directory, and checks statuses, values, and that every body keeps to the shapes of FusionAuth's OpenAPI
description. Prints `N passed, N failed`; exits 0 when nothing failed, 1 otherwise, and 77, saying why, where the
client cannot be installed.
"""

import base64
import hmac
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

from fusionauth_steps import FORUM, PASSWORD, STORE, USERS, account_states, code_by_message, login, trusted_device
from installed import or_skipped, virtual_environment

HERE = pathlib.Path(__file__).resolve().parent
TOTP_SECRET = "KZSXG5DJMJ2WYZJAMRSW23ZAORXXI4BB"


def enter_environment(binary):
    """Runs this script again with the interpreter that has the client, unless it is this one."""
    try:
        import fusionauth  # noqa: F401

        return
    except ImportError:
        pass
    wanted = HERE / "requirements-fusionauth.txt"
    python = or_skipped("FusionAuth's Python client", virtual_environment, "fusionauth-venv", wanted) / "python"
    sys.exit(subprocess.run([str(python), __file__, str(binary)]).returncode)


class Server:
    """The server as a process of its own."""

    def __init__(self, binary, state, *arguments):
        command = [str(binary), "--state", state, *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=10)


class Checks:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.shapes = json.loads((HERE.parent / "data" / "fusionauth-shapes.json").read_text())["schemas"]

    def equal(self, what, found, expected):
        if found == expected:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}: {found!r} instead of {expected!r}")

    def true(self, what, holds):
        self.equal(what, bool(holds), True)

    def shape(self, name, body):
        faults = list(self.deviations({"$ref": name}, body, name))
        self.equal(f"shape of {name}", faults, [])

    def deviations(self, schema, value, where):
        """What in `value` the schema does not know, or knows with another type."""
        if "$ref" in schema:
            schema = self.shapes[schema["$ref"].split("/")[-1]]
        if "enum" in schema and value not in schema["enum"]:
            yield f"{where}: {value!r} is not listed"
        kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
        kind = kinds.get(schema.get("type"))
        # Two known slips of the description: `aud` is typed as an object, `fieldErrors` as a list.
        if kind and not isinstance(value, kind) and not where.endswith(".aud"):
            yield f"{where}: {type(value).__name__} instead of {schema['type']}"
            return
        if isinstance(value, dict):
            known = schema.get("properties")
            for member, inner in value.items():
                if known is not None and member in known:
                    yield from self.deviations(known[member], inner, f"{where}.{member}")
                elif known and "additionalProperties" not in schema:
                    yield f"{where}.{member}: not in the description"
        if isinstance(value, list):
            for index, inner in enumerate(value):
                yield from self.deviations(schema.get("items", {}), inner, f"{where}[{index}]")

    def field_error(self, what, response, field):
        self.equal(f"{what}: status", response.status, 400)
        errors = (response.error_response or {}).get("fieldErrors", {}).get(field, [])
        self.true(f"{what}: names {field}", errors)
        for error in errors:
            self.shape("Error", error)


def totp(when):
    digest = hmac.new(base64.b32decode(TOTP_SECRET), struct.pack(">Q", int(when) // 30), "sha1").digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def sign_in(check, client, url):
    response = login(client, "admin@example.com")
    check.equal("login", response.status, 200)
    body = response.success_response
    check.shape("LoginResponse", body)
    found = claims(body["token"])
    check.equal("sub", found["sub"], body["user"]["id"])
    check.equal("roles", found["roles"], ["admin"])
    check.equal("aud", found["aud"], STORE)
    check.equal("sid", found["sid"], body["refreshTokenId"])
    check.equal("expiry in milliseconds", body["tokenExpirationInstant"], found["exp"] * 1000)
    check.equal("wrong password", login(client, "admin@example.com", "wrong").status, 404)
    check.equal("unknown user", login(client, "nobody@example.com").status, 404)
    check.equal("wrong key", login(type(client)("wrong", url), "admin@example.com").status, 401)
    check.field_error("no password", client.login({"loginId": "admin@example.com"}), "password")
    quiet = {"loginId": "admin@example.com", "password": PASSWORD, "applicationId": STORE, "noJWT": True}
    check.true("noJWT", "token" not in client.login(quiet).success_response)


def second_factor(check, client):
    response = login(client, "twofactor@example.com")
    check.equal("two-factor asked", response.status, 242)
    check.shape("LoginResponse", response.success_response)
    started = response.success_response["twoFactorId"]
    wrong = client.two_factor_login({"twoFactorId": started, "code": "abcdef"})
    check.equal("wrong code", wrong.status, 421)
    right = client.two_factor_login({"twoFactorId": started, "code": totp(time.time()), "applicationId": STORE})
    check.equal("right code", right.status, 200)
    check.shape("LoginResponse", right.success_response)
    check.equal("used id", client.two_factor_login({"twoFactorId": started, "code": "123456"}).status, 404)
    sent = client.send_two_factor_code_for_login_using_method(started, {"methodId": "TOTP"})
    check.equal("send with a used id", sent.status, 404)


def new_password(check, client):
    response = login(client, "newpassword@example.com")
    check.equal("password change asked", response.status, 203)
    check.shape("LoginResponse", response.success_response)
    change = response.success_response["changePasswordId"]
    check.equal("change id is good", client.check_change_password_using_id(change).status, 200)
    check.field_error("short password", client.change_password(change, {"password": "short"}), "password")
    changed = client.change_password(None, {"changePasswordId": change, "password": "quite another one"})
    check.equal("changed", changed.status, 200)
    check.shape("ChangePasswordResponse", changed.success_response)
    check.equal("used change id", client.change_password(change, {"password": "quite another one"}).status, 404)
    once = {"oneTimePassword": changed.success_response["oneTimePassword"], "applicationId": STORE}
    check.equal("one-time password", client.login(once).status, 200)
    check.equal("one-time password again", client.login(once).status, 404)
    check.equal("old password", login(client, "newpassword@example.com").status, 404)
    check.equal("new password", login(client, "newpassword@example.com", "quite another one").status, 200)


def renewal(check, client):
    first = login(client, "shopper@example.com").success_response
    response = client.exchange_refresh_token_for_jwt({"refreshToken": first["refreshToken"], "token": first["token"]})
    check.equal("refresh", response.status, 200)
    second = response.success_response
    check.shape("JWTRefreshResponse", second)
    check.true("one-time use", second["refreshToken"] != first["refreshToken"])
    check.equal("stable id", second["refreshTokenId"], first["refreshTokenId"])
    again = client.exchange_refresh_token_for_jwt({"refreshToken": first["refreshToken"]})
    check.equal("within grace", again.success_response["refreshToken"], second["refreshToken"])
    response = client.exchange_refresh_token_for_access_token(second["refreshToken"], STORE)
    check.equal("refresh grant", response.status, 200)
    check.shape("AccessToken", response.success_response)
    response = client.exchange_refresh_token_for_access_token("unknown", STORE)
    check.equal("refused grant", response.error_response["error"], "invalid_grant")
    check.shape("OAuthError", response.error_response)
    check.field_error("unknown token", client.exchange_refresh_token_for_jwt({"refreshToken": "x"}), "refreshToken")
    return first


def reuse(check, client):
    first = login(client, "shopper@example.com").success_response["refreshToken"]
    second = client.exchange_refresh_token_for_jwt({"refreshToken": first}).success_response["refreshToken"]
    time.sleep(0.01)
    check.field_error("reuse", client.exchange_refresh_token_for_jwt({"refreshToken": first}), "refreshToken")
    reused = client.exchange_refresh_token_for_jwt({"refreshToken": second})
    check.field_error("successor after reuse", reused, "refreshToken")


def ending(check, client):
    def fresh(application=STORE):
        return login(client, "shopper@example.com", application=application).success_response

    def is_over(body):
        return client.exchange_refresh_token_for_jwt({"refreshToken": body["refreshToken"]}).status == 400

    one = fresh()
    listed = client.retrieve_refresh_tokens(one["user"]["id"])
    check.equal("sessions listed", listed.status, 200)
    check.shape("RefreshTokenResponse", listed.success_response)
    check.equal("session found", client.retrieve_refresh_token_by_id(one["refreshTokenId"]).status, 200)
    check.equal("logout", client.logout_with_request({"refreshToken": one["refreshToken"]}).status, 200)
    check.true("over after logout", is_over(one))
    check.equal("logout of nothing", client.logout(False, one["refreshToken"]).status, 200)
    one, other = fresh(), fresh(FORUM)
    check.equal("global logout", client.logout(True, one["refreshToken"]).status, 200)
    check.true("all over after global logout", is_over(other))
    one, other = fresh(), fresh(FORUM)
    check.equal("revoke by token", client.revoke_refresh_token_by_token(one["refreshToken"]).status, 200)
    check.true("over after revocation", is_over(one))
    check.equal("revoke again", client.revoke_refresh_token_by_token(one["refreshToken"]).status, 404)
    check.equal("revoke by id", client.revoke_refresh_token_by_id(other["refreshTokenId"]).status, 200)
    check.true("over after revocation by id", is_over(other))
    one, other = fresh(), fresh(FORUM)
    response = client.revoke_refresh_tokens_by_user_id_for_application(one["user"]["id"], FORUM)
    check.equal("revoke for an application", response.status, 200)
    check.true("over in that application", is_over(other))
    check.true("not over in another", not is_over(one))
    response = client.revoke_refresh_tokens_with_request({"userId": one["user"]["id"]})
    check.equal("revoke with a body", response.status, 200)
    check.true("over everywhere", is_over(one))


def keys_and_people(check, client, first):
    response = client.retrieve_json_web_key_set()
    check.equal("keys", response.status, 200)
    check.shape("JWKSResponse", response.success_response)
    kid = response.success_response["keys"][0]["kid"]
    response = client.retrieve_jwt_public_key(kid)
    check.equal("public key", response.status, 200)
    check.shape("PublicKeyResponse", response.success_response)
    check.true("PEM", response.success_response["publicKey"].startswith("-----BEGIN PUBLIC KEY-----"))
    check.shape("PublicKeyResponse", client.retrieve_jwt_public_keys().success_response)
    check.equal("unknown key", client.retrieve_jwt_public_key("none").status, 404)
    response = client.retrieve_open_id_configuration()
    check.equal("discovery", response.status, 200)
    check.shape("OpenIdConfiguration", response.success_response)
    response = client.validate_jwt(first["token"])
    check.equal("validate", response.status, 200)
    check.true("milliseconds", response.success_response["jwt"]["exp"] > 10**12)
    check.equal("validate a changed token", client.validate_jwt(first["token"][:-8] + "AAAAAAAA").status, 401)
    response = client.retrieve_user(first["user"]["id"])
    check.equal("user by id", response.status, 200)
    check.shape("UserResponse", response.success_response)
    response = client.retrieve_user_by_email("shopper@example.com")
    check.equal("user by e-mail", response.success_response["user"]["id"], first["user"]["id"])
    check.equal("unknown user", client.retrieve_user_by_email("nobody@example.com").status, 404)


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        sys.exit(2)
    binary = pathlib.Path(sys.argv[1]).resolve()
    enter_environment(binary)
    from fusionauth.fusionauth_client import FusionAuthClient

    check = Checks()
    with tempfile.TemporaryDirectory() as state:
        with Server(binary, state, "--grace", "10") as server:
            client = FusionAuthClient("demo", server.url)
            sign_in(check, client, server.url)
            second_factor(check, client)
            new_password(check, client)
            first = renewal(check, client)
            keys_and_people(check, client, first)
            survivor = login(client, "shopper@example.com", application=FORUM).success_response
        with Server(binary, state, "--grace", "0") as server:
            client = FusionAuthClient("demo", server.url)
            response = client.exchange_refresh_token_for_jwt({"refreshToken": survivor["refreshToken"]})
            check.equal("refresh after a restart", response.status, 200)
            check.equal("token after a restart", client.validate_jwt(survivor["token"]).status, 200)
            reuse(check, client)
            ending(check, client)
    with tempfile.TemporaryDirectory() as folder:
        users = pathlib.Path(folder) / "users.toml"
        users.write_text(USERS)
        with Server(binary, f"{folder}/state", "--users", str(users)) as server:
            client = FusionAuthClient("demo", server.url)
            change = code_by_message(check, client, users.parent / "outbox")
            trusted_device(check, client, users.parent / "outbox", change)
            account_states(check, client)
    print(f"{check.passed} passed, {check.failed} failed")
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
