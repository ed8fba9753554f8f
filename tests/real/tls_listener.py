"""A gateway with a TLS listener, for the tests that need one: an authority of its own, and what their configurations
share. Standard library only."""

import ssl
import subprocess
from pathlib import Path

NAME = "store.example.com"
# A listener without TLS and one with it, and an identity provider. Where they lie is filled in.
LISTENERS = """state_dir = "{directory}/state"

[server]
listen = ["127.0.0.1:{plain}"]
admin = "127.0.0.1:{admin}"

[[server.tls]]
listen = "127.0.0.1:{tls}"
certificates = [{{ cert = "{directory}/cert.pem", key = "{directory}/key.pem" }}]

[providers.local]
kind = "embedded"
users = "{directory}/users.toml"

"""


class Authority:
    """A private authority, and the certificates that it issues for the gateway."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.root = self.directory / "root.pem"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "60",
                     "-subj", "/CN=A private authority", "-keyout", "root.key", "-out", "root.pem")  # fmt: skip

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, stderr=subprocess.DEVNULL, cwd=self.directory)

    def issue(self):
        """Replaces the files that the gateway reads, one after the other."""
        (self.directory / "names").write_text(f"subjectAltName=DNS:{NAME}\nextendedKeyUsage=serverAuth\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={NAME}",
                     "-keyout", "next.key", "-out", "next.csr")  # fmt: skip
        self.openssl("x509", "-req", "-in", "next.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial",
                     "-days", "30", "-extfile", "names", "-out", "next.pem")  # fmt: skip
        (self.directory / "next.pem").rename(self.directory / "cert.pem")
        (self.directory / "next.key").rename(self.directory / "key.pem")

    def context(self):
        return ssl.create_default_context(cafile=self.root)
