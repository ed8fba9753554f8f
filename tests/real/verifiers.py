"""The snippets of docs/guide/assertion.md as programs. Each prints a line for each assertion of its input: the user's id, or
`refused`."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import npm
from installed import Skipped, kept

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "assertion.md"
# Packages of Debian.
JACKSON = [Path(f"/usr/share/java/jackson-{part}.jar") for part in ("annotations", "core", "databind")]
GO_PACKAGES = Path("/usr/share/gocode")
PYTHON = """
import sys
for line in sys.stdin:
    try:
        print(verify(line.strip())["sub"])
    except jwt.PyJWTError:
        print("refused")
"""
NODE = """
import { createInterface } from 'node:readline'
for await (const line of createInterface({ input: process.stdin })) {
  console.log(await verify(line).then((claims) => claims.sub, (error) => error.code?.startsWith('ERR_J') ? 'refused' : error))
}
"""
RUBY = """
STDIN.each_line do |line|
  puts verify(line.strip).fetch("sub")
rescue JWT::DecodeError
  puts "refused"
end
"""
# Warnings are errors, as they are in frameworks.
PHP = """
set_error_handler(function (int $level, string $message) {
    if (error_reporting() & $level) {
        throw new ErrorException($message);
    }
    return true;
});
while (($line = fgets(STDIN)) !== false) {
    try {
        echo Assertions::verify(trim($line))['sub'], "\\n";
    } catch (UnexpectedValueException) {
        echo "refused\\n";
    }
}
"""
JAVA = """
final class Main {
    public static void main(String[] arguments) throws Exception {
        var assertions = new Assertions();
        var lines = new java.io.BufferedReader(new java.io.InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) {
            try {
                System.out.println(assertions.verify(line).get("sub").asText());
            } catch (SignatureException e) {
                System.out.println("refused");
            }
        }
    }
}
"""
GO = """package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
)

func main() {
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\\n')
		if err != nil {
			return
		}
		if token, err := Verify(context.Background(), line[:len(line)-1]); err != nil {
			fmt.Println("refused")
		} else {
			fmt.Println(token.Subject)
		}
	}
}
"""


def snippet(language, origin):
    """The code in the guide, for a site of this origin."""
    code = re.search(rf"^## {language}\n.*?^```\w+\n(.*?)^```", GUIDE.read_text(), re.M | re.S)[1]
    return code.replace("https://store.example.com", origin)


def required(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skipped(f"{program} is missing")


def compiled(*command, **more):
    """Runs a compiler. Ends the program with what it says where the code is wrong."""
    ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, **more)
    if ran.returncode:
        raise SystemExit(f"{command[0]} failed:\n{ran.stdout}{ran.stderr}")


def python(code, directory, program):
    file = directory / "verify.py"
    file.write_text(code + PYTHON)
    return [program, file]


def node(code, directory, _):
    required("node", "npm")
    (directory / "node_modules").symlink_to(npm.install("jose", "jose") / "node_modules")
    file = directory / "verify.mjs"
    file.write_text(code + NODE)
    return ["node", file]


def ruby(code, directory, _):
    required("ruby")
    file = directory / "verify.rb"
    file.write_text(code + RUBY)
    return ["ruby", file]


def php(code, directory, _):
    required("php")
    file = directory / "verify.php"
    file.write_text("<?php\n" + code + PHP)
    return ["php", file]


def java(code, directory, _):
    """For Java 11, which the guide names."""
    required("java", "javac")
    missing = [jar for jar in JACKSON if not jar.exists()]
    if missing:
        raise Skipped(f"{missing[0]} is missing")
    jars = ":".join(map(str, JACKSON))
    file, classes = directory / "Assertions.java", directory / "classes"
    file.write_text(code + JAVA)
    compiled("javac", "--release", "11", "-cp", jars, "-d", classes, file)
    return ["java", "-cp", f"{classes}:{jars}", "Main"]


def go(code, directory, _):
    """With the go-oidc of Debian, which has no modules and so another path."""
    required("go")
    package = "github.com/coreos/go-oidc"
    if not (GO_PACKAGES / "src" / package).exists():
        raise Skipped(f"{package} is missing below {GO_PACKAGES}")
    folder = directory / "go"
    folder.mkdir()
    (folder / "verify.go").write_text("package main\n\n" + code.replace(f"{package}/v3/oidc", package))
    (folder / "main.go").write_text(GO)
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(GO_PACKAGES), "GOCACHE": str(kept("go-cache"))}
    compiled("go", "build", "-o", folder / "verify", cwd=folder, env=environment)
    return [folder / "verify"]


# What makes a program of a snippet and gives its command, from the code, a directory, and a Python that has PyJWT.
LANGUAGES = {"Python": python, "Node": node, "Ruby": ruby, "PHP": php, "Java": java, "Go": go}
