"""Read what the pages behind the links of a mail say, by language: one file each in ``words/``.

To add a language, add a file with the same keys.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_FOLDER = Path(__file__).parent / "words"


@cache
def page_words() -> Mapping[str, Mapping[str, Any]]:
    """Return the words by language, ``en`` among them."""
    return {file.stem: yaml.safe_load(file.read_text("utf-8")) for file in sorted(_FOLDER.glob("*.yaml"))}
