#!/usr/bin/env python3
"""What packaging/ has for containers: manifests.py VESTIBULE_BINARY. Prints `N passed, N failed`.

kubernetes-validate reads the manifest, hadolint the Dockerfile, and the gateway the configurations of the manifest and
of the compose file.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("1.31", "1.34")


def tools(directory):
    """A virtual environment with the checkers."""
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    requirements = ROOT / "tests/real/requirements-manifests.txt"
    said = subprocess.run([f"{directory}/bin/pip", "-q", "install", "-r", requirements], capture_output=True, text=True)
    if said.returncode != 0:
        print(f"skipped: {said.stderr.strip()[-300:]}")
        sys.exit(77)
    return Path(directory) / "bin"


def checked(what, *command):
    said = subprocess.run(command, capture_output=True, text=True)
    print(f"{what}: {'ok' if said.returncode == 0 else said.stdout + said.stderr}")
    return said.returncode == 0


def configuration_of_the_manifest(python, directory):
    """The ConfigMap's file, with secrets in the places that it names."""
    code = "import sys, yaml; print(next(yaml.safe_load_all(open(sys.argv[1])))['data']['vestibule.toml'])"
    manifest = ROOT / "packaging/kubernetes/vestibule.yaml"
    text = subprocess.run([python, "-c", code, manifest], capture_output=True, text=True, check=True).stdout
    file = directory / "vestibule.toml"
    file.write_text(text.replace("/run/secrets/vestibule/", f"{directory}/"))
    key = subprocess.run(["openssl", "rand", "-base64", "32"], capture_output=True, text=True, check=True).stdout
    for name, secret in (("cookie.key", key), ("fusionauth.key", "a-key"), ("redis.url", "rediss://redis:6379")):
        (directory / name).write_text(secret)
        (directory / name).chmod(0o600)
    return file


def main():
    binary = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="vestibule-manifests-") as directory:
        directory = Path(directory)
        bin_directory = tools(directory / "venv")
        manifest = str(ROOT / "packaging/kubernetes/vestibule.yaml")
        results = [
            checked(f"Kubernetes {version}", bin_directory / "kubernetes-validate", "--strict", "-k", version, manifest)
            for version in VERSIONS
        ]
        results.append(checked("hadolint", bin_directory / "hadolint", str(ROOT / "Dockerfile")))
        file = configuration_of_the_manifest(bin_directory / "python", directory)
        results.append(checked("the configuration of the manifest", binary, "check", "--config", file))
        replicas = directory / "replicas"
        subprocess.run(["cp", "-r", ROOT / "packaging/replicas", replicas], check=True)
        subprocess.run(["rm", "-rf", replicas / "secrets"], check=True)
        results.append(checked("setup.sh", "sh", replicas / "setup.sh"))
        results.append(checked("the configuration of the replicas", binary, "check", "--config", replicas / "vestibule.toml"))
    failed = results.count(False)
    print(f"{results.count(True)} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
