#!/usr/bin/env python3
"""Takes the pictures of README.md, of the demo in Chromium: screenshots.py VESTIBULE_BINARY. They are in docs/images."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "real"))
from demo import Demo, sign_in  # noqa: E402
from webdriver import Browser  # noqa: E402

IMAGES = ROOT / "docs" / "images"


def main():
    demo = Demo(sys.argv[1])
    try:
        with Browser() as browser:
            browser.size(800, 600)
            store = demo.sites["store"]
            browser.goto(f"{store}/login")
            browser.screenshot(IMAGES / "sign-in.png")
            sign_in(browser, store)
            browser.screenshot(IMAGES / "store.png")
            # Only administrators may see it.
            browser.goto(f"{store}/admin/")
            browser.screenshot(IMAGES / "refused.png")
    finally:
        demo.stop()
    for image in sorted(IMAGES.glob("*.png")):
        print(f"{image.relative_to(ROOT)}: {image.stat().st_size} bytes")


if __name__ == "__main__":
    main()
