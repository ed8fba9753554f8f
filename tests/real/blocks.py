"""The shell blocks of the guides. The line before each says who runs it, or why nobody does:

<!-- run: tests/real/package.py install -->
<!-- not run: needs an account at a provider -->
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def blocks(document, runner):
    """The blocks of a document that `runner` (a path) runs, by their names."""
    text = (ROOT / document).read_text()
    # A block may be part of a list.
    found = re.findall(rf"<!-- run: {re.escape(runner)} (\S+) -->\n *```sh\n(.*?)```", text, re.DOTALL)
    if not found:
        raise SystemExit(f"{document} has no block for {runner}")
    return dict(found)
