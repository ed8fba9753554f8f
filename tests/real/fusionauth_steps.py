"""The steps after the password, for `fusionauth_client.py`: a code by message, a new password, a trusted device."""

import re

STORE = "3c219e58-ed0e-4b18-ad48-f4f92793ae32"
FORUM = "85a03867-dccf-4882-adde-1a79aeec50df"
PASSWORD = "vestibule demo"
# Of PASSWORD, as `vestibule hash-password` makes it.
HASH = "$argon2id$v=19$m=19456,t=2,p=1$UZKqbs6a2gf75GH/mUrdjg$y55Hiq/ki/ZdnUI4i9w6G0FJbC3q15j+bM7JSDlvXOY"
USERS = f"""
outbox = "outbox"

[password]
min_length = 9
require_number = true
require_mixed_case = true
require_non_alpha = true

[[users]]
email = "ada@example.com"
password = "{HASH}"
two_factor = {{ email = "ada@example.com", sms = "+1 555 555 5512" }}
must_change_password = "Breached"
""" + "".join(
    f"""
[[users]]
email = "{name}@example.com"
password = "{HASH}"
{rest}
"""
    for name, rest in (
        ("locked", 'state = "locked"'),
        ("expired", 'state = "expired"'),
        ("prevented", 'state = "login_prevented"'),
        ("unverified", "email_verified = false"),
        ("unregistered", f'unverified_applications = ["{STORE}"]'),
        ("elsewhere", f'applications = ["{FORUM}"]'),
    )
)


def login(client, name, password=PASSWORD, application=STORE):
    return client.login({"loginId": name, "password": password, "applicationId": application})


def code_by_message(check, client, outbox):
    asked = login(client, "ada@example.com").success_response
    check.shape("LoginResponse", asked)
    started = asked["twoFactorId"]
    found = [(method["method"], method.get("email", method.get("mobilePhone"))) for method in asked["methods"]]
    check.equal("methods", found, [("email", "a***@example.com"), ("sms", "***12")])
    refused = client.send_two_factor_code_for_login_using_method(started, {"methodId": "none"})
    check.field_error("unknown method", refused, "methodId")
    codes = []
    for method, address in zip(asked["methods"], ("ada@example.com", "+1 555 555 5512")):
        sent = client.send_two_factor_code_for_login_using_method(started, {"methodId": method["id"]})
        check.equal("code sent", sent.status, 200)
        message = sorted(outbox.glob("*.txt"))[-1]
        check.equal("for its owner alone", message.stat().st_mode & 0o777, 0o600)
        head, _, text = message.read_text().partition("\n\n")
        check.equal("recipient", head.splitlines()[0], f"To: {address}")
        codes.append(re.search(r"\b\d{6}\b", text).group())
    check.equal("sent to a used id", len(list(outbox.iterdir())), 2)
    where = {"ipAddress": "192.0.2.7", "metaData": {"device": {"name": "Firefox on Linux", "type": "BROWSER"}}}
    complete = {"twoFactorId": started, "applicationId": STORE, "trustComputer": True, **where}
    if codes[0] != codes[1]:
        check.equal("void code", client.two_factor_login({**complete, "code": codes[0]}).status, 421)
    right = client.two_factor_login({**complete, "code": codes[1]})
    check.equal("code by message, then a new password", right.status, 203)
    check.equal("reason", right.success_response["changePasswordReason"], "Breached")
    return right.success_response["changePasswordId"]


def trusted_device(check, client, outbox, change):
    """What `code_by_message` left open; then a sign-in that trusts its device, and one that needs no code."""
    for password, words in (
        ("short", {"tooShort", "requireNumber", "singleCase", "onlyAlpha"}),
        ("Password!", {"requireNumber"}),
    ):
        refused = client.change_password(None, {"changePasswordId": change, "password": password})
        check.field_error(f"password {password}", refused, "password")
        codes = {error["code"] for error in refused.error_response["fieldErrors"]["password"]}
        check.equal(f"rules {password} breaks", codes, {f"[{word}]password" for word in words})
    better = "A better passw0rd!"
    changed = client.change_password(None, {"changePasswordId": change, "password": better}).success_response
    once = {"oneTimePassword": changed["oneTimePassword"], "applicationId": STORE}
    check.equal("one-time password", client.login(once).status, 200)
    asked = login(client, "ada@example.com", better).success_response
    client.send_two_factor_code_for_login_using_method(asked["twoFactorId"], {"methodId": asked["methods"][0]["id"]})
    code = re.search(r"\b\d{6}\b", sorted(outbox.glob("*.txt"))[-1].read_text().partition("\n\n")[2]).group()
    device = {"name": "Firefox on Linux", "description": "Mozilla/5.0", "type": "BROWSER"}
    complete = {"twoFactorId": asked["twoFactorId"], "code": code, "applicationId": STORE, "trustComputer": True}
    right = client.two_factor_login({**complete, "ipAddress": "192.0.2.7", "metaData": {"device": device}})
    check.equal("trusting", right.status, 200)
    check.shape("LoginResponse", right.success_response)
    attempt = {"loginId": "ada@example.com", "password": better, "applicationId": STORE}
    trust = right.success_response["twoFactorTrustId"]
    check.equal("trusted", client.login({**attempt, "twoFactorTrustId": trust}).status, 200)
    check.equal("not trusted", client.login({**attempt, "twoFactorTrustId": "made up"}).status, 242)
    listed = client.retrieve_refresh_token_by_id(right.success_response["refreshTokenId"])
    check.shape("RefreshTokenResponse", listed.success_response)
    shown = listed.success_response["refreshToken"]["metaData"]["device"]
    check.equal("device", {name: shown[name] for name in device}, device)
    check.equal("address", shown["lastAccessedAddress"], "192.0.2.7")


def account_states(check, client):
    for name, status in (
        ("locked", 423),
        ("expired", 410),
        ("prevented", 409),
        ("unverified", 212),
        ("unregistered", 213),
        ("elsewhere", 202),
    ):
        check.equal(name, login(client, f"{name}@example.com").status, status)
