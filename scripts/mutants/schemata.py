"""Writes many mutants into one source text, each behind a switch: mutant schemata.

A mutant is what `cargo mutants --list --json` tells of it. `crate::mutant::on(7)` is true in a
process where mutant 7 is switched on, see mutant.rs. The text of an expression with mutants is
repeated for each, as cargo-mutants would write it; only the last copy has mutants within:

    (if on(1) { a != b.len() } else if on(2) { a > b.len() } else { a == b.len() })
"""

import re
from bisect import bisect_left
from typing import NamedTuple

import tree_sitter_rust
from tree_sitter import Language, Node, Parser

PARSER = Parser(Language(tree_sitter_rust.language()))

# Around the text of a mutant, until its place in the written text is known.
OPEN, NUMBER_END, CLOSE = b"\x01", b"\x02", b"\x03"
MARK = re.compile(rb"\x01(\d+)\x02|\x03")

CONSTANTS = {"const_item", "static_item", "const_block", "enum_variant"}


class Mutant(NamedTuple):
    number: int
    name: str
    file: str
    genre: str
    replacement: str
    start: int
    end: int


class Place(NamedTuple):
    """Where the text of a mutant stands in the written source, in bytes."""

    start: int
    end: int
    number: int


class Written(NamedTuple):
    text: bytes
    places: list[Place]
    # Why each mutant that is not in `text` is not.
    unviable: dict[int, str]
    skipped: dict[int, str]
    # The functions by name, with the numbers of the mutants within them.
    functions: list[tuple[str, int, int, set[int]]]


def offsets(source: bytes, spans: list[dict]) -> list[tuple[int, int]]:
    """The bytes of spans that are told by lines and columns of characters, from 1."""
    lines = source.split(b"\n")
    begins = [0]
    for line in lines:
        begins.append(begins[-1] + len(line) + 1)

    def offset(place: dict) -> int:
        line = lines[place["line"] - 1].decode()
        return begins[place["line"] - 1] + len(line[: place["column"] - 1].encode())

    return [(offset(span["start"]), offset(span["end"])) for span in spans]


def ancestors(node: Node | None):
    while node is not None:
        yield node
        node = node.parent


def field(node: Node, name: str) -> Node | None:
    return node.child_by_field_name(name)


class Unwritten(Exception):
    """A mutant is not written: the message says why."""


class Unviable(Unwritten):
    """It does not compile."""


class Skipped(Unwritten):
    """Schemata cannot tell."""


class Source:
    """One source file, with the mutants to write into it."""

    def __init__(self, text: bytes, mutants: list[Mutant], kept_const: set[str]):
        self.text = text
        self.kept_const = kept_const
        self.anchors: dict[tuple, list[Mutant]] = {}
        self.unviable: dict[int, str] = {}
        self.skipped: dict[int, str] = {}
        self.root = PARSER.parse(text).root_node
        if self.root.has_error:
            self.skipped = {mutant.number: "the file does not parse" for mutant in mutants}
            mutants = []
        for mutant in mutants:
            try:
                anchor = self.anchor(mutant)
                self.anchors.setdefault(key(anchor), []).append(mutant)
            except Unviable as why:
                self.unviable[mutant.number] = str(why)
            except Skipped as why:
                self.skipped[mutant.number] = str(why)
        self.starts = sorted({start for start, _, _ in self.anchors} | set(self.modifiers()))

    def modifiers(self) -> dict[int, int]:
        """Each `const` of a function that is taken away: its start and end."""
        found = {}
        for node in functions(self.root):
            name = field(node, "name").text.decode()
            for child in node.children:
                if child.type == "function_modifiers" and name not in self.kept_const:
                    for word in child.children:
                        if word.type == "const":
                            found[word.start_byte] = word.end_byte
        return found

    def anchor(self, mutant: Mutant) -> Node:
        """The node whose text changes with this mutant."""
        node = self.root.descendant_for_byte_range(mutant.start, mutant.end)
        for above in ancestors(node):
            if above.type in CONSTANTS or above.type == "array_type":
                raise Skipped("in a constant")
            if above.type in {"token_tree", "macro_definition"}:
                raise Skipped("in a macro")
            if above.type == "function_item":
                if self.is_const(above):
                    raise Skipped("in a function that constants call")
                break
        return getattr(self, "anchor_" + mutant.genre)(mutant, node)

    def is_const(self, function: Node) -> bool:
        modifiers = [child for child in function.children if child.type == "function_modifiers"]
        words = {word.type for child in modifiers for word in child.children}
        return "const" in words and field(function, "name").text.decode() in self.kept_const

    def anchor_FnValue(self, mutant: Mutant, node: Node) -> Node:
        for above in ancestors(node):
            if above.type == "function_item" and field(above, "body").start_byte < mutant.start:
                returns = field(above, "return_type")
                if returns is not None and re.search(rb"\bimpl\b", returns.text):
                    raise Skipped("a function that returns an `impl Trait`")
                return field(above, "body")
        raise Skipped("its function was not found")

    def anchor_BinaryOperator(self, mutant: Mutant, node: Node) -> Node:
        node = node.parent
        if node.type == "compound_assignment_expr":
            return node
        if node.type == "let_chain":
            raise Unviable("`||` beside a `let`")
        if node.type != "binary_expression":
            raise Skipped(f"in a {node.type}")
        path = [node]
        while path[-1].parent.type == "binary_expression":
            path.append(path[-1].parent)
        if path[-1].parent.type == "let_chain":
            while path and field(path[-1], "operator").type == "&&":
                path.pop()
            if not path:
                raise Unviable("`||` beside a `let`")
        return path[-1]

    def anchor_UnaryOperator(self, mutant: Mutant, node: Node) -> Node:
        for above in ancestors(node):
            if above.type == "unary_expression" and above.start_byte == mutant.start:
                return above
        # `-1` in an expression is one literal.
        raise Skipped("its operand was not found")

    def anchor_MatchArmGuard(self, mutant: Mutant, node: Node) -> Node:
        for above in ancestors(node):
            if above.type == "match_pattern":
                condition = field(above, "condition")
                if condition is None or condition.type in {"let_condition", "let_chain"}:
                    raise Skipped("a guard with `let`")
                return above
        raise Skipped("its guard was not found")

    def anchor_MatchArm(self, mutant: Mutant, node: Node) -> Node:
        for above in ancestors(node):
            if above.type == "match_arm" and above.start_byte == mutant.start:
                return field(above, "pattern")
        raise Skipped("its arm was not found")

    def anchor_StructField(self, mutant: Mutant, node: Node) -> Node:
        for above in ancestors(node):
            if above.type == "struct_expression":
                return above
        raise Skipped("its struct was not found")

    def write(self) -> Written:
        marked = self.render(self.root, self.modifiers())
        text, places = unmark(marked)
        found = []
        for node in functions(PARSER.parse(text).root_node):
            within = {p.number for p in places if node.start_byte <= p.start < node.end_byte}
            name = field(node, "name").text.decode()
            found.append((name, node.start_byte, node.end_byte, within))
        return Written(text, places, self.unviable, self.skipped, found)

    def render(self, node: Node, dropped: dict[int, int]) -> bytes:
        """The text of a node with the mutants within it."""
        first = bisect_left(self.starts, node.start_byte)
        if first == len(self.starts) or self.starts[first] >= node.end_byte:
            return self.text[node.start_byte : node.end_byte]
        if dropped.get(node.start_byte) == node.end_byte and node.type == "const":
            return b""
        pieces, at, condition = [], node.start_byte, b""
        for child in node.children:
            pieces.append(self.text[at : child.start_byte])
            rendered = self.render(child, dropped)
            is_condition = node.type == "match_pattern" and child == field(node, "condition")
            if is_condition:
                condition = rendered
            pieces.append(rendered)
            at = child.end_byte
        pieces.append(self.text[at : node.end_byte])
        inner = b"".join(pieces)
        mutants = self.anchors.get(key(node))
        if not mutants:
            return inner
        if node.type == "block":
            returns = (on(m, b"return %s;" % m.replacement.encode()) for m in mutants)
            return b"{" + b"".join(returns) + inner[1:]
        if node.type == "match_pattern":
            return self.guard(node, mutants, inner, condition)
        branches = [on(mutant, self.changed(node, mutant)) for mutant in mutants]
        return choice(branches, inner)

    def changed(self, node: Node, mutant: Mutant) -> bytes:
        """The text of a node as the mutant changes it."""
        before, after = self.text[node.start_byte : mutant.start], self.text[mutant.end : node.end_byte]
        return before + mutant.replacement.encode() + after

    def guard(self, node: Node, mutants: list[Mutant], inner: bytes, condition: bytes) -> bytes:
        """A pattern with a guard that mutants decide: one that deletes the arm, or sets the guard."""
        pattern = inner
        if condition:
            pattern = inner[: inner.rindex(condition)].rstrip().removesuffix(b"if")
        value = {"MatchArm": "false"}
        branches = [on(m, value.get(m.genre, m.replacement).encode()) for m in mutants]
        return pattern + b" if " + choice(branches, condition or b"true")


def key(node: Node) -> tuple:
    return (node.start_byte, node.end_byte, node.type)


def functions(root: Node):
    if root.type == "function_item":
        yield root
    for child in root.children:
        yield from functions(child)


def on(mutant: Mutant, text: bytes) -> bytes:
    number = str(mutant.number).encode()
    condition = b"if crate::mutant::on(%s) { %s }" % (number, text)
    return OPEN + number + NUMBER_END + condition + CLOSE


def choice(branches: list[bytes], otherwise: bytes) -> bytes:
    return b"(" + b" else ".join(branches) + b" else { " + otherwise + b" })"


def unmark(marked: bytes) -> tuple[bytes, list[Place]]:
    """The text without marks, and the places that they marked."""
    pieces, places, opened, at, length = [], [], [], 0, 0
    for mark in MARK.finditer(marked):
        pieces.append(marked[at : mark.start()])
        length += mark.start() - at
        at = mark.end()
        if mark.group(1):
            opened.append((length, int(mark.group(1))))
        else:
            start, number = opened.pop()
            places.append(Place(start, length, number))
    pieces.append(marked[at:])
    return b"".join(pieces), places
