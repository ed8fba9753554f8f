"""Tokens like the gateway's, signed with keys of our own for the proxies that verify them. Needs OpenSSL's program."""

import base64
import hashlib
import hmac
import json
import secrets
import subprocess
import time
from pathlib import Path

LIFETIME = 86_400


def encoded(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims_of(token):
    return json.loads(decoded(token.split(".")[1]))


def tampered(token):
    """The token with another signature (or the same text with another first character, where it has none)."""
    signed, dot, signature = token.rpartition(".")
    return f"{signed}{dot}{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


class Keys:
    """A key for each algorithm, and the certificate of the TLS listeners."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.secret = secrets.token_hex(32)
        kinds = {"es256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "rs256": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]}
        for name, options in kinds.items():
            self.openssl("genpkey", "-algorithm", *options, "-out", f"{name}.key")
            self.openssl("pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub")
        self.certificate, self.certificate_key = self.directory / "cert.pem", self.directory / "cert.key"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                     "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                     "-keyout", "cert.key", "-out", "cert.pem")  # fmt: skip

    def openssl(self, *arguments, text=None):
        command = ["openssl", *arguments]
        return subprocess.run(command, input=text, check=True, capture_output=True, cwd=self.directory).stdout

    def public_key(self, algorithm):
        return self.directory / f"{algorithm.lower()}.pub"

    def jwks(self):
        """The key set with the public key of ES256."""
        der = self.openssl("pkey", "-pubin", "-in", "es256.pub", "-outform", "DER")
        x, y = encoded(der[-64:-32]), encoded(der[-32:])
        return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "x": x, "y": y}]})

    def signed_again(self, token, algorithm, lifetime=LIFETIME):
        """A token with the claims of this one, signed with our key."""
        header = {**json.loads(decoded(token.split(".")[0])), "alg": algorithm}
        claims = {**claims_of(token), "exp": int(time.time()) + lifetime}
        parts = [encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims)]
        text = ".".join(parts).encode()
        return f"{text.decode()}.{encoded(self.signature(algorithm, text))}"

    def signature(self, algorithm, text):
        if algorithm == "HS256":
            return hmac.digest(self.secret.encode(), text, hashlib.sha256)
        signature = self.openssl("dgst", "-sha256", "-sign", f"{algorithm.lower()}.key", text=text)
        return both_numbers(signature) if algorithm == "ES256" else signature


def both_numbers(der):
    """The two numbers of an ECDSA signature, of 32 bytes each: JWS has them side by side and OpenSSL in ASN.1."""
    length = der[3]
    first, second = der[4 : 4 + length], der[6 + length :]
    return b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in (first, second))
