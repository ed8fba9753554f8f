#!/usr/bin/env python3
"""Counts the mutants of the code that the tests notice, from one build.

    mutants.py DIRECTORY               plays what was not yet played, and reports
    mutants.py DIRECTORY --survivors   after tests were added: plays those again that survived

cargo-mutants lists the mutants: small changes of the code. It would build once for each. Here all
are written into one copy of the sources, see schemata.py, and each test runs once to see which
mutants it reaches. A mutant is then played with the tests that reach it, quickest first, in
processes of their own, until one fails. DIRECTORY keeps the copy, what is built, and the results.

A mutant that does not compile is unviable. One that cannot be written as a switch is skipped.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from build import ROOMS, ROOT, Build
from report import Results, room_of, write_report
from schemata import Mutant

CORES = os.cpu_count() or 1
# A process is stopped after this many seconds, or this many times as long as it usually takes.
LEAST_SECONDS, TIMES_USUAL = 20, 5
MEMORY = 6 << 30
# The seconds of tests in the first, second and later processes that play a mutant.
BATCH_SECONDS = [0.1, 1.0, 4.0]
# The schedules that the simulation plays to record what it reaches, and for a mutant.
RECORDED_SCHEDULES, SCHEDULES = 1_000, 500
SIMULATION = "simulation"
# In this order. The contracts of a store on servers mostly wait.
TIERS = ["lib", "laws", "redis", SIMULATION]
WORKERS = {"redis": 3 * CORES}


class Test(NamedTuple):
    tier: str
    name: str


class Run(NamedTuple):
    passed: bool
    seconds: float
    # The test that failed first, or why the process was stopped.
    failed: str


class Tests:
    """The tests, what each reaches, and how long it takes."""

    def __init__(self, directory: Path, programs: dict[str, str]):
        self.directory = directory
        self.programs = programs | {"lib": programs["vestibule"], "redis": programs["vestibule"]}
        self.store = directory / "reached.jsonl"
        self.seconds: dict[Test, float] = {}
        self.reached: dict[int, list[Test]] = {}
        self.failing: list[Test] = []

    def all(self) -> list[Test]:
        """All tests, but for the simulation."""
        found = []
        for tier in ["lib", "laws"]:
            command = [self.programs[tier], "--list", "--format=terse"]
            listed = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()
            for line in listed.splitlines():
                name = line.removesuffix(": test")
                is_redis = name.startswith("store::redis::tests")
                found.append(Test("redis" if is_redis else tier, name))
        return found

    def run(self, tests: list[Test], variables: dict[str, str], limit: float) -> Run:
        """Runs tests of one tier in a process of their own."""
        tier, program = tests[0].tier, self.programs[tests[0].tier]
        arguments = ["--exact", "--test-threads=1", *(test.name for test in tests)]
        if tier == SIMULATION:
            arguments = ["--schedules", tests[0].name.split()[0]]
        command = ["prlimit", f"--as={MEMORY}", "nice", "-n", "10", program, *arguments]
        environment = os.environ | {"RUST_BACKTRACE": "0"} | variables
        begun = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=self.directory / "copy",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            output = process.communicate(timeout=limit)[0].decode(errors="replace")
            failed = [line for line in output.splitlines() if "FAILED" in line or "breaks" in line]
            failed = failed[0][:200] if failed else f"ended with {process.returncode}"
        except subprocess.TimeoutExpired:
            failed = f"stopped after {limit:.0f} s, at most {tests[-1].name}"
        finally:
            # Servers that the tests have started, too.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.communicate()
        return Run(process.returncode == 0, time.monotonic() - begun, failed)

    def record(self, tests: list[Test]) -> None:
        """Runs each test alone, but for those recorded before. A test that fails is not used."""
        lines = self.store.read_text().splitlines() if self.store.exists() else []
        recorded = {Test(tier, name): rest for tier, name, *rest in map(json.loads, lines)}

        def record(test: Test) -> list:
            seen = self.directory / f"seen.{threading.get_ident()}"
            seen.write_text("")
            run = self.run([test], {"VESTIBULE_MUTANTS_SEEN": str(seen)}, 1200)
            numbers = [int(number) for number in seen.read_text().split()]
            seen.unlink()
            return [run.seconds, numbers if run.passed else None]

        new = [test for test in tests if test not in recorded]
        with ThreadPoolExecutor(CORES) as workers, self.store.open("a") as file:
            for test, found in zip(new, workers.map(record, new)):
                recorded[test] = found
                file.write(json.dumps([*test, *found]) + "\n")
        for test in tests:
            self.seconds[test], numbers = recorded[test]
            if numbers is None:
                self.failing.append(test)
            for number in numbers or []:
                self.reached.setdefault(number, []).append(test)

    def batches(self, number: int, tier: str):
        """The tests of a tier that reach a mutant, quickest first, for one process at a time."""
        tests = [test for test in self.reached.get(number, []) if test.tier == tier]
        if tier == SIMULATION:
            yield from ([Test(tier, f"{SCHEDULES} schedules")] for _ in tests)
            return
        batch, seconds, limits = [], 0.0, list(BATCH_SECONDS)
        for test in sorted(tests, key=self.seconds.__getitem__):
            batch.append(test)
            seconds += self.seconds[test]
            if seconds > limits[0]:
                yield batch
                batch, seconds, limits = [], 0.0, limits[1:] or limits
        if batch:
            yield batch

    def usual(self, batch: list[Test]) -> float:
        if batch[0].tier == SIMULATION:
            return next(self.seconds[test] for test in self.seconds if test.tier == SIMULATION)
        return sum(self.seconds[test] for test in batch)

    def play(self, number: int, tier: str) -> str | None:
        """What notices the mutant in a tier; `None` if nothing does."""
        for batch in self.batches(number, tier):
            limit = max(LEAST_SECONDS, TIMES_USUAL * self.usual(batch))
            run = self.run(batch, {"VESTIBULE_MUTANT": str(number)}, limit)
            if not run.passed:
                return run.failed
        return None


def play(mutants: list[Mutant], tiers: list[str], tests: Tests, results: Results, report) -> None:
    for tier in tiers:
        for room in ROOMS:
            waiting = [
                mutant
                for mutant in mutants
                if room_of(mutant) == room
                and mutant.name not in results.noticed
                and tier not in results.survived.get(mutant.name, [])
            ]

            def play_one(mutant: Mutant) -> None:
                results.add(mutant.name, tier, tests.play(mutant.number, tier))

            with ThreadPoolExecutor(WORKERS.get(tier, CORES)) as workers:
                list(workers.map(play_one, waiting))
            report()
            print(f"{time.strftime('%H:%M:%S')} {room}: played with {tier}", flush=True)


def stamp_of_sources() -> str:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    digest = hashlib.sha256()
    for name in tracked.stdout.decode().split("\0"):
        if name.startswith(("src/", "tests/", "Cargo")) and (ROOT / name).is_file():
            digest.update(name.encode() + (ROOT / name).read_bytes())
    return digest.hexdigest()


def read_plan(path: Path) -> dict | None:
    """The plan of an earlier run, if the sources are still the same."""
    plan = json.loads(path.read_text()) if path.exists() else None
    return plan if plan and plan["stamp"] == stamp_of_sources() else None


def make_plan(path: Path) -> dict:
    """Lists the mutants, and builds the tests."""
    directory, stamp = path.parent, stamp_of_sources()
    (directory / "reached.jsonl").unlink(missing_ok=True)
    build = Build(directory)
    mutants = build.list_mutants()
    build.copy_sources()
    programs = build.build_tests(mutants)
    plan = {
        "stamp": stamp,
        "programs": programs,
        "mutants": mutants,
        "unviable": build.unviable,
        "skipped": build.skipped,
    }
    path.write_text(json.dumps(plan))
    return json.loads(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--survivors", action="store_true")
    options = parser.parse_args()
    directory = options.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    sys.setrecursionlimit(10_000)
    results, path = Results(directory / "results.jsonl"), directory / "plan.json"
    plan = read_plan(path)
    if options.survivors:
        results.forget_survivors()
    elif plan is None:
        results.forget()
    plan = plan or make_plan(path)
    mutants = [Mutant(*fields) for fields in plan["mutants"]]
    tests = Tests(directory, plan["programs"])
    tests.record(tests.all())
    viable = [m for m in mutants if str(m.number) not in plan["unviable"] | plan["skipped"]]

    def report() -> None:
        write_report(directory, plan, mutants, tests, results)

    report()
    play(viable, TIERS[:-1], tests, results, report)
    tests.programs |= Build(directory).build_simulation()
    tests.record([Test(SIMULATION, f"{RECORDED_SCHEDULES} schedules")])
    play(viable, TIERS[-1:], tests, results, report)
    print((directory / "report.txt").read_text().split("\n\n")[0])


if __name__ == "__main__":
    main()
