#!/usr/bin/env python3
"""Measures the Rust code of a revision or of the working tree.

    measure_code.py                               the working tree
    measure_code.py --rev acbb13e                 a revision
    measure_code.py --rev acbb13e --rev .         two side by side; `.` is the working tree
    measure_code.py -v                            also the names behind the numbers
    measure_code.py --reformat --rev acbb13e      formatted at 100 columns first, on a copy

What counts as what:

* Code is what stands in src/ and is not for tests only. `#[cfg(test)]` makes an item or a whole
  module a test. The lines of code include comments and blank lines; rustfmt does not wrap comments.
* A function's lines reach from `fn` to its closing brace. Functions in functions count twice.
* Parameters of `impl Trait for ...` are the trait's, so they are counted where the trait is.
* A circle is a set of files of one directory below src/ each of which imports every other, through
  others or not. A file that imports from its own parent module makes none by that.
  `tests/architecture` finds parameters, circles and `impl` blocks by the same rules, but parses.
* An enum describes how a refresh came out if it stands below src/runtime/, and has both a variant
  for new tokens (NEW_TOKENS) and one for a refusal (REFUSALS). This is a guess; read the names.
* Public items are those with `pub`, not `pub(crate)` or `pub(super)`: functions and methods, types,
  traits, constants, statics, modules and macros; not fields and variants. A module in a file of its
  own is documented there and does not count. Documentation is counted in words between spaces.
"""

import argparse
import re
import statistics
import subprocess
import tarfile
import tempfile
from collections import defaultdict
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
MAX_FUNCTION_LINES = 60
LONG_DOC, SHORT_DOC = 5, 3
NEW_TOKENS = {"Issued", "Refreshed", "Renewed", "Rotated"}
REFUSALS = {"Ended", "Refused", "Revoked", "SignedOut"}

TOKEN = re.compile(
    r"""
    (?P<doc>///(?!/)[^\n]*|//![^\n]*)
  | (?P<skip>//[^\n]*|\s+)
  | (?P<block>/\*)
  | (?P<text>[bc]?r(?P<hashes>\#*)".*?"(?P=hashes)
      | [bc]?"(?:\\.|[^"\\])*"
      | b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^'\\])')
  | (?P<lifetime>'\w+)
  | (?P<word>(?:r\#)?[^\W\d]\w*)
  | (?P<number>\d\w*(?:\.\d\w*)?)
  | (?P<sign>::|->|=>|.)
    """,
    re.VERBOSE | re.DOTALL,
)
ITEMS = "fn struct enum union trait type static const mod macro".split()
OPEN, CLOSE = "([{", ")]}"


class File:
    """A source file as tokens, and what was found in it."""

    def __init__(self, path, text):
        self.path, self.text = path, text
        parts = list(Path(path).with_suffix("").parts[1:])
        self.module = tuple(parts[:-1] if parts[-1] == "mod" else parts)
        self.test = False
        self.kinds, self.tokens, self.lines, self.docs = [], [], [], defaultdict(list)
        self.inner_docs = []
        self.read_tokens()
        self.match = self.match_brackets()
        self.test_tokens, self.test_lines = bytearray(len(self.tokens)), set()
        self.test_modules, self.modules = [], []
        self.find_tests()
        self.references, self.functions, self.impls = [], [], []
        self.types, self.enums, self.public = set(), [], []
        self.walk()

    def name(self):
        return "::".join(self.module)

    def read_tokens(self):
        line, position, text = 1, 0, self.text
        while position < len(text):
            found = TOKEN.match(text, position)
            kind, token = found.lastgroup, found.group()
            if kind == "hashes":
                kind = "text"
            end = found.end()
            if kind == "block":
                end = self.after_block_comment(position)
                token = text[position:end]
            elif kind == "doc":
                words = token[3:].split()
                (self.inner_docs if token[2] == "!" else self.docs[len(self.tokens)]).append(words)
            elif kind != "skip":
                self.kinds.append(kind)
                self.tokens.append(token.removeprefix("r#") if kind == "word" else token)
                self.lines.append(line)
            line += token.count("\n")
            position = end

    def after_block_comment(self, position):
        depth = 0
        for found in re.compile(r"/\*|\*/").finditer(self.text, position):
            depth += 1 if found.group() == "/*" else -1
            if depth == 0:
                return found.end()
        return len(self.text)

    def match_brackets(self):
        """Opening to closing bracket, and back."""
        match, waiting = {}, []
        for at, token in enumerate(self.tokens):
            if self.kinds[at] == "sign" and token in OPEN:
                waiting.append(at)
            elif self.kinds[at] == "sign" and token in CLOSE and waiting:
                start = waiting.pop()
                match[start], match[at] = at, start
        return match

    def at(self, index):
        return self.tokens[index] if 0 <= index < len(self.tokens) else ""

    def is_word(self, index):
        return 0 <= index < len(self.tokens) and self.kinds[index] == "word"

    def sequence(self, start, *tokens):
        return self.tokens[start : start + len(tokens)] == list(tokens)

    def end_of_item(self, at):
        """The index behind the item, statement or field that starts at `at`."""
        while at < len(self.tokens):
            token = self.at(at)
            if token == ";" and self.kinds[at] == "sign":
                return at + 1
            if at in self.match and token in OPEN:
                at = self.match[at]
                if token == "{":
                    return at + 1
            at += 1
        return at

    def find_tests(self):
        if any(self.sequence(at, *"# ! [ cfg ( test ) ]".split()) for at in range(3)):
            self.test = True
        for at in range(len(self.tokens)):
            if self.sequence(at, *"# [ cfg ( test ) ]".split()):
                start = at + 7
                while self.at(start) == "#":
                    start = self.match[start + 1] + 1
                end = self.end_of_item(start)
                for token in range(at, end):
                    self.test_tokens[token] = True
                self.test_lines.update(range(self.lines[at], self.lines[end - 1] + 1))

    # What is in the code.

    def walk(self):
        """Goes through the tokens once. `inside` tells which blocks are open."""
        inside, pending = [], {}
        after_item = {"", ";", "{", "}", "]", "unsafe", "pub", ")"}
        at = 0
        while at < len(self.tokens):
            token, before = self.at(at), self.at(at - 1)
            if token == "{" and self.kinds[at] == "sign":
                inside.append(pending.pop(at, ("", "")))
            elif token == "}" and self.kinds[at] == "sign" and inside:
                inside.pop()
            scope = self.module + tuple(name for kind, name in inside if kind == "mod")
            if not self.is_word(at):
                at += 1
                continue
            if token == "mod" and self.is_word(at + 1):
                module = scope + (self.at(at + 1),)
                self.modules.append(module)
                if self.test_tokens[at]:
                    self.test_modules.append(module)
                pending[at + 2] = ("mod", self.at(at + 1))
            elif token == "impl" and before in after_item:
                brace, owner, of_trait = self.impl_header(at)
                pending[brace] = ("trait impl" if of_trait else "impl", owner)
                if owner and not of_trait and not self.test_tokens[at]:
                    self.impls.append(owner)
            elif token in ("struct", "enum", "union", "trait", "type") and self.is_word(at + 1):
                self.types.add(self.at(at + 1))
                brace = self.end_of_item(at) - 1
                if token == "trait" and self.at(brace) == "}":
                    pending[self.match[brace]] = ("trait", self.at(at + 1))
                if token == "enum" and self.at(brace) == "}" and not self.test_tokens[at]:
                    self.enums.append((self.at(at + 1), self.variants(self.match[brace])))
            elif token == "fn" and self.is_word(at + 1):
                self.function(at, inside, scope, pending)
            if token == "pub" and self.at(at + 1) != "(" and not self.test_tokens[at]:
                self.public_item(at)
            if token == "use" and before in after_item and self.at(at + 1) != "<":
                at = self.use_tree(at + 1, scope, (), bool(self.test_tokens[at]))
            elif before != "::" or not (self.is_word(at - 2) or self.at(at - 2) == ">"):
                at = self.read_path(at, scope)
            else:
                at += 1

    def skip_generics(self, at):
        if self.at(at) != "<":
            return at
        depth = 0
        while at < len(self.tokens):
            depth += {"<": 1, ">": -1}.get(self.at(at), 0)
            at += 1
            if depth == 0:
                break
        return at

    def impl_header(self, at):
        """The opening brace, the type, and whether a trait is implemented for it."""
        at = self.skip_generics(at + 1)
        start, brace, of_trait, owner = at, at, False, []
        while brace < len(self.tokens) and self.at(brace) != "{":
            if self.at(brace) == "for" and self.at(brace + 1) != "<":
                of_trait, start = True, brace + 1
            brace += 1
        at = start
        while at < brace and self.at(at) not in ("where", "+"):
            if self.at(at) == "<":
                at = self.skip_generics(at)
                continue
            if self.is_word(at) and self.at(at) not in ("dyn", "mut"):
                # `impl $name` in a macro is of no type yet.
                owner.append("" if self.at(at - 1) == "$" else self.at(at))
            at += 1
        return brace, owner[-1] if owner else "", of_trait

    def variants(self, brace):
        found, at, end = [], brace + 1, self.match[brace]
        while at < end:
            if self.at(at) == "#":
                at = self.match[at + 1] + 1
            elif self.is_word(at):
                found.append(self.at(at))
                while at < end and self.at(at) != ",":
                    at = self.match[at] + 1 if self.at(at) in OPEN else at + 1
                at += 1
            else:
                at += 1
        return found

    def function(self, at, inside, scope, pending):
        paren = self.skip_generics(at + 2)
        if self.at(paren) != "(":
            return
        end = self.end_of_item(paren)
        has_body = self.at(end - 1) == "}"
        if has_body:
            pending[self.match[end - 1]] = ("fn", "")
        kind, owner = next(((k, n) for k, n in reversed(inside) if k), ("", ""))
        is_method = kind in ("impl", "trait", "trait impl")
        name = "::".join(scope + ((owner,) if is_method else ()) + (self.at(at + 1),))
        parameters = [] if kind == "trait impl" else self.parameters(paren)
        lines = self.lines[end - 1] - self.lines[at] + 1 if has_body else 0
        self.functions.append((name, lines, parameters, bool(self.test_tokens[at])))

    def parameters(self, paren):
        """(kind, names) of the parameters that are tuples or boolean."""
        found = []
        for start, end in self.split(paren + 1, self.match[paren]):
            while self.at(start) == "#":
                start = self.match[start + 1] + 1
            colon = start
            while colon < end and self.at(colon) != ":":
                colon = self.match[colon] + 1 if self.at(colon) in OPEN else colon + 1
            if colon >= end:
                continue
            names = [self.at(word) for word in range(start, colon) if self.is_word(word)]
            names = ", ".join(name for name in names if name not in ("mut", "ref", "_"))
            of = colon + 1
            while self.at(of) in ("&", "mut") or self.kinds[of] == "lifetime":
                of += 1
            is_tuple = self.at(of) == "(" and len(list(self.split(of + 1, self.match[of]))) > 1
            if self.at(start) == "(" or is_tuple:
                found.append(("tuple", names))
            elif self.at(of) == "bool" and of + 1 == end:
                found.append(("bool", names))
        return found

    def split(self, start, end):
        """What stands between commas."""
        at, depth = start, 0
        while at < end:
            token = self.at(at)
            if token in OPEN and at in self.match:
                at = self.match[at]
            depth += {"<": 1, ">": -1}.get(token, 0)
            if token == "," and depth == 0:
                yield start, at
                start = at + 1
            at += 1
        if start < end:
            yield start, end

    def public_item(self, at):
        word = at + 1
        while self.at(word) in ("async", "unsafe", "extern") or self.kinds[word] == "text":
            word += 1
        if self.at(word) == "const" and self.at(word + 1) in ("fn", "async", "unsafe", "extern"):
            word += 1
            while self.at(word) in ("async", "unsafe", "extern") or self.kinds[word] == "text":
                word += 1
        is_file = self.at(word) == "mod" and self.at(word + 2) == ";"
        if self.at(word) in ITEMS and not is_file and self.at(at + 1) != ":":
            words = [words for line in self.docs_before(at) for words in line]
            self.public.append((f"{self.name()}::{self.at(word + 1)}", len(words)))

    def docs_before(self, at):
        found = list(self.docs.get(at, ()))
        while self.at(at - 1) == "]" and self.at(self.match.get(at - 1, 0) - 1) == "#":
            at = self.match[at - 1] - 1
            found = list(self.docs.get(at, ())) + found
        return found

    def doc_lengths(self):
        """Words of every comment of documentation in the code."""
        if self.inner_docs:
            text = " ".join(word for line in self.inner_docs for word in line)
            yield sum(map(len, self.inner_docs)), f"{self.path}: {text}"
        for at, lines in self.docs.items():
            if at < len(self.tokens) and not self.test_tokens[at]:
                text = " ".join(word for line in lines for word in line)
                yield sum(map(len, lines)), f"{self.path}:{self.lines[at]}: {text}"

    # Paths, for circles.

    def refer(self, scope, path, name, test):
        if len(path) > 1 or name:
            self.references.append((scope, tuple(path), name, test))

    def read_path(self, at, scope):
        """Reads a path that starts at `at`; returns the index behind it."""
        path, test = [self.at(at)], bool(self.test_tokens[at])
        at += 1
        while self.at(at) == "::":
            if self.is_word(at + 1):
                path.append(self.at(at + 1))
                at += 2
            else:
                # `use` in a macro: `crate::{a, b}`.
                if self.at(at + 1) == "{":
                    return self.use_tree(at + 1, scope, tuple(path), test)
                break
        self.refer(scope, path, None, test)
        return at

    def use_tree(self, at, scope, base, test):
        path = list(base)
        if self.at(at) == "::":
            at += 1
        while True:
            if self.at(at) == "{":
                for start, _ in self.split(at + 1, self.match[at]):
                    self.use_tree(start, scope, tuple(path), test)
                return self.match[at] + 1
            if self.at(at) != "self" or not path:
                path.append(self.at(at))
            at += 1
            if self.at(at) != "::":
                break
            at += 1
        name = path[-1]
        if self.at(at) == "as":
            name, at = self.at(at + 1), at + 2
        self.refer(scope, path, name, test)
        return at


class Row(NamedTuple):
    """A number, and the names behind it: printed always, or only with -v."""

    what: str
    number: object
    names: list = []
    always: bool = False


def counted(pairs):
    return [f"{number:4} {name}" for name, number in pairs]


class Tree:
    """All files of one revision."""

    def __init__(self, files):
        self.sources = {path: text for path, text in files.items() if path.startswith("src/")}
        self.other_tests = {path: text for path, text in files.items() if path.startswith("tests/")}
        self.files = [File(path, text) for path, text in sorted(self.sources.items())]
        tests = [module for file in self.files for module in file.test_modules]
        for file in self.files:
            if any(file.module[: len(test)] == test for test in tests):
                file.test = True
        self.code = [file for file in self.files if not file.test]
        self.scopes = {}
        for file in self.files:
            for module in file.modules:
                self.scopes[module] = (file, {})
        for file in self.files:
            if file.module != ("lib",):
                self.scopes[file.module] = (file, {})
        for file in self.files:
            for scope, path, name, test in file.references:
                if name and not test and scope in self.scopes:
                    self.scopes[scope][1][name] = path

    def imports(self, file):
        """Files of the same room that a file imports."""
        found = set()
        for scope, path, _, test in file.references:
            if not test:
                found.update(self.follow(scope, path))
        return {
            other for other in found
            if other is not file and not other.test and other.module[0] == file.module[0]
            and file.module[: len(other.module)] != other.module
        }

    def follow(self, scope, path, depth=0):
        """The file that a path names, and those to which re-exports lead from there."""
        if depth > 16:
            return []
        absolute, rest = list(scope), list(path)
        while rest and rest[0] in ("crate", "vestibule", "super", "self"):
            first = rest.pop(0)
            if first == "super":
                absolute = absolute[:-1]
            elif first != "self":
                absolute = []
        if len(rest) == len(path):
            if tuple(scope) + path[:1] not in self.scopes:
                return self.follow_import(scope, path[0], path[1:], depth)
        absolute += rest
        for length in range(len(absolute), 0, -1):
            module = tuple(absolute[:length])
            if module in self.scopes:
                files = [self.scopes[module][0]]
                if length < len(absolute):
                    rest = tuple(absolute[length + 1 :])
                    files += self.follow_import(module, absolute[length], rest, depth)
                return files
        return []

    def follow_import(self, scope, name, rest, depth):
        target = self.scopes.get(tuple(scope), (None, {}))[1].get(name)
        return self.follow(scope, target + tuple(rest), depth + 1) if target else []

    def circles(self):
        imports = {file: self.imports(file) for file in self.code if file.module != ("lib",)}
        reached = {}
        for file in imports:
            reached[file], waiting = set(), [file]
            while waiting:
                for other in imports[waiting.pop()] - reached[file]:
                    reached[file].add(other)
                    waiting.append(other)
        circles = {
            frozenset(other for other in reached[file] if file in reached[other])
            for file in imports if file in reached[file]
        }
        return sorted(sorted(file.name() for file in circle) for circle in circles)

    def measure(self):
        functions = [f for file in self.code for f in file.functions if not f[3]]
        bodies = [(name, lines) for name, lines, _, _ in functions if lines]
        long = sorted((f for f in bodies if f[1] > MAX_FUNCTION_LINES), key=lambda f: -f[1])

        def parameters(kind):
            return [
                f"{name}: {names}"
                for name, _, found, _ in functions for k, names in found if k == kind
            ]

        code_lines, comments, test_lines = {}, 0, 0
        for file in self.files:
            lines = file.text.splitlines()
            tests = len(lines) if file.test else len(file.test_lines)
            test_lines += tests
            if not file.test:
                code_lines[file.path] = len(lines) - tests
                comments += sum(
                    line.lstrip().startswith("//")
                    for number, line in enumerate(lines, 1) if number not in file.test_lines
                )
        longest = sorted(code_lines.items(), key=lambda item: -item[1])
        whole = sorted(
            ((file.path, len(file.text.splitlines())) for file in self.files),
            key=lambda item: -item[1],
        )
        elsewhere = [
            f"{file.name()}: impl {owner}"
            for file in self.code for owner in file.impls if owner not in file.types
        ]
        runtime = [file.name() for file in self.code for owner in file.impls if owner == "Runtime"]
        circles = self.circles()
        enums = [
            f"{file.name()}::{name} {{{', '.join(variants)}}}"
            for file in self.code if file.module[0] == "runtime" for name, variants in file.enums
            if NEW_TOKENS & set(variants) and REFUSALS & set(variants)
        ]
        public = [item for file in self.code for item in file.public]
        told = [item for item in public if item[1] > LONG_DOC]
        docs = [doc for file in self.code for doc in file.doc_lengths()]
        short = [text for words, text in docs if words <= SHORT_DOC]
        tuples, booleans = parameters("tuple"), parameters("bool")
        of_tests = sum(len(text.splitlines()) for text in self.other_tests.values())
        share_long, share_told = len(long) / len(bodies), len(told) / len(public)
        return [
            Row("files in src/", len(self.files)),
            Row("  of these for tests only", len(self.files) - len(self.code)),
            Row("lines of code", sum(code_lines.values())),
            Row("  of these comments", comments),
            Row("lines of tests in src/", test_lines),
            Row("lines of tests in tests/", of_tests),
            Row("median file, lines of code", round(statistics.median(code_lines.values()))),
            Row("longest file, lines of code", longest[0][1], counted(longest[:5]), True),
            Row("longest file, all lines", whole[0][1], counted(whole[:5]), True),
            Row("functions", len(bodies)),
            Row(f"  over {MAX_FUNCTION_LINES} lines", len(long), counted(long), True),
            Row("  share of these", f"{share_long:.2%}"),
            Row("tuple parameters", len(tuples), tuples),
            Row("boolean parameters", len(booleans), booleans),
            Row("circles of files", len(circles), [", ".join(circle) for circle in circles], True),
            Row("  files in them", sum(map(len, circles))),
            Row("`impl Runtime` blocks", len(runtime), runtime),
            Row("`impl` outside the type's file", len(elsewhere), elsewhere),
            Row("enums that describe a refresh", len(enums), enums, True),
            Row("public items", len(public)),
            Row(f"  documented in over {LONG_DOC} words", f"{share_told:.1%}"),
            Row(f"documentation of {SHORT_DOC} words or fewer", len(short), short),
        ]


def read_files(rev, reformat):
    """Path to text of the Rust files of a revision; `.` is the working tree."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        if rev == ".":
            names = git("ls-files", "-co", "--exclude-standard", "src", "tests").decode()
            for name in names.splitlines():
                if name.endswith(".rs") and (ROOT / name).exists():
                    (copy / name).parent.mkdir(parents=True, exist_ok=True)
                    (copy / name).write_bytes((ROOT / name).read_bytes())
        else:
            with tarfile.open(fileobj=BytesIO(git("archive", rev, "src", "tests"))) as archive:
                archive.extractall(copy, filter="data")
        if reformat:
            # The copy has no rustfmt.toml, so all revisions are measured alike. Modules follow.
            config = "max_width=100,use_small_heuristics=Default"
            rustfmt = ["rustfmt", "--edition", "2024", "--config", config]
            roots = [copy / "src/lib.rs", copy / "src/main.rs"]
            roots += [*copy.glob("tests/*.rs"), *copy.glob("tests/*/main.rs")]
            subprocess.run(rustfmt + list(map(str, roots)), cwd=ROOT, check=True)
        files = sorted(copy.rglob("*.rs"))
        return {str(file.relative_to(copy)): file.read_text() for file in files}


def git(*arguments):
    return subprocess.check_output(("git", "-C", ROOT) + arguments)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rev", action="append", help="git revision, or `.` for the working tree")
    parser.add_argument("--reformat", action="store_true", help="format at 100 columns first")
    parser.add_argument("-v", "--verbose", action="store_true", help="names behind the numbers")
    options = parser.parse_args()
    revisions = options.rev or ["."]
    measured = [Tree(read_files(rev, options.reformat)).measure() for rev in revisions]
    heads = ["working tree" if rev == "." else rev for rev in revisions]
    widths = [max(12, len(head)) for head in heads]
    left = max(len(row.what) for row in measured[0])
    print(" " * left, *(f"{head:>{width}}" for head, width in zip(heads, widths)), sep="  ")
    for rows in zip(*measured):
        numbers = (f"{row.number:>{width}}" for row, width in zip(rows, widths))
        print(f"{rows[0].what:{left}}", *numbers, sep="  ")
    for head, rows in zip(heads, measured):
        for row in rows:
            if row.names and (options.verbose or row.always):
                print(f"\n{head}: {row.what.strip()}", *row.names, sep="\n    ")


if __name__ == "__main__":
    main()
