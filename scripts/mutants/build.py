"""The copy of the sources with all mutants, and the programs that are built from it."""

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from schemata import Mutant, Source, Written, offsets

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = {
    "decide": ["src/decide/**"],
    "model": ["src/model/**"],
    "refresh": ["src/runtime/refresh/**"],
    "revocation": ["src/runtime/revocation*.rs"],
    "memory": ["src/store/memory/**"],
    "redis": ["src/store/redis/**"],
}


class Build:
    """The copy of the sources, and the programs built from it."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.copy = directory / "copy"
        self.unviable: dict[int, str] = {}
        self.skipped: dict[int, str] = {}
        self.kept_const: set[str] = set()
        self.written: dict[str, Written] = {}

    def build_tests(self, mutants: list[Mutant]) -> dict[str, str]:
        """The programs of the unit tests and the laws, after each mutant that does not compile is out."""
        tests = ["--lib", "--test=laws"]
        self.compile(mutants, "check", "--lib")
        self.compile(mutants, "check", "--profile=test", *tests, "--test=simulation")
        return programs(self.compile(mutants, "test", "--no-run", *tests))

    def build_simulation(self) -> dict[str, str]:
        """The program of the simulation, from the sources as they are written."""
        is_good, messages = self.cargo("test", "--no-run", "--profile=simulation", "--test=simulation")
        if not is_good:
            sys.exit("the simulation does not compile")
        return programs(messages)

    def list_mutants(self) -> list[Mutant]:
        """What cargo-mutants lists, without what the copy has not got."""
        listed = []
        for patterns in ROOMS.values():
            files = [argument for pattern in patterns for argument in ("-f", pattern)]
            command = ["cargo", "mutants", "--no-default-features", "--list", "--json", *files]
            found = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
            listed += json.loads(found)
        mutants, by_file = [], defaultdict(list)
        for number, told in enumerate(listed, start=1):
            by_file[told["file"]].append((number, told))
        for file, those in by_file.items():
            spans = offsets((ROOT / file).read_bytes(), [told["span"] for _, told in those])
            for (number, told), (start, end) in zip(those, spans):
                genre, replacement = told["genre"], told["replacement"]
                mutants.append(Mutant(number, told["name"], file, genre, replacement, start, end))
        return mutants

    def copy_sources(self) -> None:
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        for name in tracked.stdout.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (self.copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.copy / name)
        shutil.copy(Path(__file__).parent / "mutant.rs", self.copy / "src/mutant.rs")
        with (self.copy / "src/lib.rs").open("a") as lib:
            lib.write("pub mod mutant;\n")
        manifest = (self.copy / "Cargo.toml").read_text().split("\n[")
        kept = [section for section in manifest if not section.startswith("lints.")]
        (self.copy / "Cargo.toml").write_text("\n[".join(kept))

    def write_sources(self, mutants: list[Mutant]) -> None:
        """Writes the mutants that are neither unviable nor skipped. Removes `const` from functions."""
        by_file = defaultdict(list)
        for mutant in mutants:
            if mutant.number not in self.unviable and mutant.number not in self.skipped:
                by_file[mutant.file].append(mutant)
        for path in (ROOT / "src").rglob("*.rs"):
            file, text = str(path.relative_to(ROOT)), path.read_bytes()
            is_changed = file in by_file or file in self.written or b"const fn" in text
            if file == "src/lib.rs" or not is_changed:
                continue
            written = Source(text, by_file[file], self.kept_const).write()
            self.unviable |= written.unviable
            self.skipped |= written.skipped
            self.written[file] = written
            if (self.copy / file).read_bytes() != written.text:
                (self.copy / file).write_bytes(written.text)

    def cargo(self, *arguments: str) -> tuple[bool, list[dict]]:
        command = ["nice", "-n", "10", "cargo", *arguments, "--message-format=json"]
        environment = os.environ | {"CARGO_TARGET_DIR": str(self.directory / "build")}
        done = subprocess.run(command, check=False, cwd=self.copy, env=environment, stdout=subprocess.PIPE)
        return done.returncode == 0, [json.loads(line) for line in done.stdout.splitlines()]

    def compile(self, mutants: list[Mutant], *arguments: str) -> list[dict]:
        """Runs cargo until no mutant is left that does not compile."""
        while True:
            self.write_sources(mutants)
            is_good, messages = self.cargo(*arguments)
            if is_good:
                return messages
            told = (message.get("message") or {} for message in messages)
            errors = [error for error in told if isinstance(error, dict) and error.get("level") == "error"]
            before = len(self.unviable) + len(self.skipped) + len(self.kept_const)
            for error in errors:
                self.blame(error)
            gone = len(self.unviable) + len(self.skipped) + len(self.kept_const) - before
            print(f"cargo {arguments[0]}: {len(errors)} errors, {gone} mutants taken out", flush=True)
            if gone == 0:
                sys.exit("\n".join(error["rendered"] for error in errors))

    def blame(self, error: dict) -> None:
        """Takes out the mutants that a compile error is about."""
        if (error.get("code") or {}).get("code") == "E0015" and "`" in error["message"]:
            name = error["message"].split("`")[1].split("::")[-1]
            if name != "on":
                self.kept_const.add(name)
                return
        spans = sorted(all_spans(error), key=lambda span: not span["is_primary"])
        spans = [span for span in spans if span["file_name"] in self.written]
        for find in (self.mutants_around, self.mutants_of_line, self.mutants_of_function):
            for span in spans:
                found = find(span)
                if found:
                    reason = error["message"].splitlines()[0]
                    if find != self.mutants_around:
                        reason = f"beside an error: {reason}"
                    self.unviable = dict.fromkeys(found, reason) | self.unviable
                    return

    def mutants_around(self, span: dict) -> set[int]:
        """The innermost mutant whose text contains the span."""
        around = [
            place
            for place in self.written[span["file_name"]].places
            if place.start <= span["byte_start"] and span["byte_end"] <= place.end
        ]
        return {min(around, key=lambda place: place.end - place.start).number} if around else set()

    def mutants_of_line(self, span: dict) -> set[int]:
        written = self.written[span["file_name"]]
        begin = written.text.rfind(b"\n", 0, span["byte_start"])
        end = written.text.find(b"\n", span["byte_end"])
        return {place.number for place in written.places if begin < place.start < end}

    def mutants_of_function(self, span: dict) -> set[int]:
        found = [
            (end - start, numbers)
            for _, start, end, numbers in self.written[span["file_name"]].functions
            if start <= span["byte_start"] < end
        ]
        return min(found)[1] if found else set()


def all_spans(error: dict) -> list[dict]:
    spans = list(error["spans"])
    for span in error["spans"]:
        expansion = span.get("expansion")
        while expansion:
            spans.append(expansion["span"])
            expansion = expansion["span"].get("expansion")
    for child in error.get("children", []):
        spans += all_spans(child)
    return spans


def programs(messages: list[dict]) -> dict[str, str]:
    """The programs of tests that cargo has built, by the names of their targets."""
    built = [told for told in messages if told.get("executable") and told["profile"]["test"]]
    return {told["target"]["name"]: told["executable"] for told in built}
