"""``python -m tests.bounces [DIR ...] [--json]``: score folders of labelled mails, and list what is confused."""

import json
import sys
from collections import Counter
from pathlib import Path

from tests.bounces.scoring import VISIBLE, score


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(text + "\n")


def main(arguments: list[str]) -> None:
    """Print the figures of each folder."""
    is_json = "--json" in arguments
    folders = [Path(one) for one in arguments if one != "--json"] or [VISIBLE]
    for folder in folders:
        scores = score(folder)
        if is_json:
            found = {name: one.figures() for name, one in scores.items()}
            say(json.dumps({"folder": str(folder), "families": found}))
            continue
        for name, one in sorted(scores.items(), key=lambda item: (item[0] == "total", item[0])):
            figures = "  ".join(f"{key} {value:g}" for key, value in one.figures().items())
            say(f"{name:<14} {figures}")
        misses = scores["total"].misses
        say("\nconfused (wanted -> got):")
        for (what, wanted, got), number in Counter(
            (one.what, one.wanted, one.got) for one in misses if one.what != "recipient"
        ).most_common():
            files = " ".join(
                one.file for one in misses if (one.what, one.wanted, one.got) == (what, wanted, got)
            )
            say(f"{number:4} {what:<6} {wanted or '-':>16} -> {got:<16} {files}")
        for one in misses:
            if one.what == "recipient":
                say(f"     not found {one.file}: {one.wanted} (got: {one.got or 'nobody'})")


if __name__ == "__main__":
    main(sys.argv[1:])
