"""What is known of each mutant, and the report of it."""

import json
import threading
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

from build import ROOMS
from schemata import Mutant

COLUMNS = ["unviable", "skipped", "waiting", "killed", "survived"]


class Results:
    """What is known of each mutant by its name: in memory, and in a file that grows."""

    def __init__(self, path: Path):
        self.path = path
        self.lock = threading.Lock()
        # The tiers that a mutant has survived, or what has noticed it.
        self.survived: dict[str, list[str]] = {}
        self.noticed: dict[str, str] = {}
        lines = path.read_text().splitlines() if path.exists() else []
        for name, tier, noticed in map(json.loads, lines):
            self.keep(name, tier, noticed)

    def keep(self, name: str, tier: str, noticed: str | None) -> None:
        if noticed:
            self.noticed[name] = noticed
        else:
            self.survived.setdefault(name, []).append(tier)

    def add(self, name: str, tier: str, noticed: str | None) -> None:
        with self.lock, self.path.open("a") as file:
            file.write(json.dumps([name, tier, noticed]) + "\n")
            self.keep(name, tier, noticed)

    def forget(self) -> None:
        self.noticed.clear()
        self.forget_survivors()

    def forget_survivors(self) -> None:
        self.survived.clear()
        lines = (json.dumps([name, "", by]) + "\n" for name, by in self.noticed.items())
        self.path.write_text("".join(lines))


def room_of(mutant: Mutant) -> str:
    return next(r for r, patterns in ROOMS.items() if any(fnmatch(mutant.file, p) for p in patterns))


def state_of(mutant: Mutant, plan: dict, results: Results) -> str:
    """The column of the report that counts the mutant."""
    if str(mutant.number) in plan["unviable"]:
        return "unviable"
    if str(mutant.number) in plan["skipped"]:
        return "skipped"
    if mutant.name in results.noticed:
        return "killed"
    return "survived" if mutant.name in results.survived else "waiting"


def row(name: str, states: list[str]) -> str:
    counts = Counter(states)
    played = counts["killed"] + counts["survived"]
    score = f"{100 * counts['killed'] / played:.1f} %" if played else "-"
    cells = [name, len(states), *(counts[column] for column in COLUMNS), score]
    return ("%-12s" + "%10s" * 7) % tuple(cells)


def write_report(directory: Path, plan: dict, mutants: list[Mutant], tests, results: Results) -> None:
    """Writes report.txt and survivors.json."""
    text = [("%-12s" + "%10s" * 7) % ("room", "listed", *COLUMNS, "score")]
    survivors, everything = [], []
    for room in ROOMS:
        states = {m: state_of(m, plan, results) for m in mutants if room_of(m) == room}
        text.append(row(room, list(states.values())))
        everything += states.values()
        for mutant in (mutant for mutant, state in states.items() if state == "survived"):
            reached = Counter(test.tier for test in tests.reached.get(mutant.number, []))
            told = {"name": mutant.name, "file": mutant.file, "room": room, "reached_by": dict(reached)}
            survivors.append(told)
    text += [row("all", everything), ""]
    text += [f"skipped, {why}: {count}" for why, count in Counter(plan["skipped"].values()).items()]
    text += [f"not used, fails without a mutant: {test.name}" for test in tests.failing]
    file = None
    for survivor in survivors:
        if survivor["file"] != file:
            file = survivor["file"]
            text += ["", file]
        reached = ", ".join(f"{count} {tier}" for tier, count in survivor["reached_by"].items())
        text.append(f"  {survivor['name']}   [{reached or 'no test reaches it'}]")
    (directory / "report.txt").write_text("\n".join(text) + "\n")
    (directory / "survivors.json").write_text(json.dumps(survivors, indent=1))
