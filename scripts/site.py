#!/usr/bin/env python3
"""Builds the documentation as a website, with mdBook: site.py. The result is in target/site.

The pages are those that docs/SUMMARY.md lists, then other documents beneath docs, and a page for each other
file of the repository to which one of them links, such as an example of a configuration. Links between them
keep working. Installs mdBook into target/tools if it is not there. Standard library only.
"""

import os
import posixpath
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "real"))
from installed import target_directory  # noqa: E402

VERSION = "0.5.4"
LINK = re.compile(r"\]\(([^)\s]+)\)")
LISTED = re.compile(r"\[([^\]]+)\]\(([^)]+\.md)\)")
FENCES = re.compile(r"^( *```.*?^ *```[^\n]*$)", re.DOTALL | re.MULTILINE)
PICTURES = {".svg", ".png"}
LANGUAGES = {".toml": "toml", ".yaml": "yaml", ".json": "json", ".sh": "sh", ".js": "js", ".css": "css",
             ".html": "html", ".py": "python"}


def mdbook():
    """The program, installed if it is missing. Without its server, which brings most of its dependencies."""
    tools = target_directory().resolve() / "tools"
    for found in (shutil.which("mdbook"), tools / "bin" / "mdbook"):
        if found and Path(found).exists():
            return str(found)
    print(f"site: installing mdbook {VERSION} into {tools}", flush=True)
    # Unoptimized it is built in half the time, and a site of this size needs seconds.
    options = ["--version", VERSION, "--locked", "--debug", "--quiet", "--no-default-features", "--features", "search"]
    # In a directory of its own that cargo removes.
    environment = {name: value for name, value in os.environ.items() if name != "CARGO_TARGET_DIR"}
    subprocess.run(["cargo", "install", "mdbook", *options, "--root", tools], check=True, env=environment)
    return str(tools / "bin" / "mdbook")


def place(path):
    """Where a file of the repository lies in the book: documents at the top, others beneath `files`."""
    if path == "README.md":
        return "index.md"
    if path.startswith("docs/"):
        path = path.removeprefix("docs/")
        return re.sub(r"(^|/)README\.md$", r"\1index.md", path)
    if path.endswith(".md"):
        return path.lower()
    if Path(path).suffix in PICTURES:
        return f"files/{path}"
    return f"files/{path}.md"


def unlisted(listing):
    """The documents that the table of contents does not name. The page of a directory comes before its others."""
    listed = {posixpath.normpath(f"docs/{link}") for _, link in LISTED.findall("\n".join(listing))}
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")} - {"docs/SUMMARY.md"}
    return sorted(there - listed, key=lambda path: path.replace("/README.md", "/"))


class Book:
    """The source of the book in a directory."""

    def __init__(self, source):
        self.source = source
        self.documents = []
        self.others = []
        self.problems = []

    def add(self, path, text):
        to = self.source / place(path)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text)

    def document(self, path):
        """A Markdown file, with its links as they are in the book."""
        text = (ROOT / path).read_text()
        parts = FENCES.split(text)
        parts[::2] = [LINK.sub(lambda link: f"]({self.target(path, link[1])})", part) for part in parts[::2]]
        self.add(path, "".join(parts))

    def target(self, path, link):
        """A link of the document `path`, from its place in the book."""
        if "://" in link or link.startswith(("#", "mailto:")):
            return link
        link, mark, anchor = link.partition("#")
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
        if not (ROOT / wanted).exists() or wanted.startswith(".."):
            self.problems.append(f"{path}: {link}: no such file")
            return link
        if wanted == "docs/SUMMARY.md":
            # mdBook's own page of it.
            return posixpath.relpath("toc.html", posixpath.dirname(place(path)) or ".")
        if Path(wanted).suffix in PICTURES:
            to = self.source / place(wanted)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / wanted, to)
        elif not wanted.endswith(".md") and wanted not in self.others:
            self.others.append(wanted)
        return posixpath.relpath(place(wanted), posixpath.dirname(place(path)) or ".") + mark + anchor

    def other(self, path):
        """A page with the text of a file, or with what a directory has. Gives the files of a directory."""
        if (ROOT / path).is_file():
            text = (ROOT / path).read_text()
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            self.add(path, f"# {path}\n\n{fence}{LANGUAGES.get(Path(path).suffix, 'text')}\n{text.rstrip()}\n{fence}\n")
            return []
        listed = subprocess.run(["git", "ls-files", path], cwd=ROOT, capture_output=True, text=True, check=True)
        files = [file for file in listed.stdout.split() if posixpath.dirname(file) == path]
        files = [file for file in files if Path(file).suffix not in PICTURES | {".md"}]
        names = [f"* [{posixpath.basename(file)}]({posixpath.basename(file)}.md)" for file in files]
        here = posixpath.basename(path)
        self.add(path, "\n".join([f"# {path}", "", *names, ""]).replace("](", f"]({here}/"))
        return files

    def summary(self):
        """The table of contents: what docs/SUMMARY.md lists, and the other files."""
        listing = (ROOT / "docs" / "SUMMARY.md").read_text().splitlines()
        for path in unlisted(listing):
            depth = "" if path.endswith("/README.md") or path.count("/") == 2 else "  "
            title = re.search("^# (.*)", (ROOT / path).read_text(), re.MULTILINE)[1]
            room = f"]({path.split('/')[1]}/"
            last = max((at for at, line in enumerate(listing) if room in line), default=len(listing) - 1)
            listing.insert(last + 1, f"{depth}- [{title}]({path.removeprefix('docs/')})")
        text = "\n".join(listing)
        self.documents = [posixpath.normpath(f"docs/{link}") for _, link in LISTED.findall(text)]
        for path in self.documents:
            self.document(path)
        lines = ["", "# Files", ""]
        listed = set()
        for path in sorted(self.others):
            if path in listed:
                continue
            lines.append(f"- [{path}]({place(path)})")
            for file in self.other(path):
                listed.add(file)
                self.other(file)
                lines.append(f"  - [{posixpath.basename(file)}]({place(file)})")
        text = LISTED.sub(lambda link: f"[{link[1]}]({place(posixpath.normpath(f'docs/{link[2]}'))})", text)
        (self.source / "SUMMARY.md").write_text(text + "\n".join(lines) + "\n")


def main():
    directory = target_directory().resolve() / "book"
    site = target_directory().resolve() / "site"
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "src").mkdir(parents=True)
    for name in ("book.toml", "site.css"):
        shutil.copy(ROOT / "docs" / name, directory)
    book = Book(directory / "src")
    book.summary()
    if book.problems:
        raise SystemExit("\n".join(book.problems))
    program = mdbook()
    shutil.rmtree(site, ignore_errors=True)
    subprocess.run([program, "build", directory, "--dest-dir", site], check=True)
    print(f"site: {site}/index.html")


if __name__ == "__main__":
    main()
