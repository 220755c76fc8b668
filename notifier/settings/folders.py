"""Where the configuration and the templates are looked for: the variable's folder, here, or the shipped one.

Looks for folders only; reads no file.
"""

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent.parent
SHIPPED = _PACKAGE / "_shipped"
ROOT = _PACKAGE.parent


def find_config() -> Path:
    """Return the folder of the configuration: the variable's, ``./config``, or the shipped one."""
    if named := os.environ.get("NOTIFIER_CONFIG_DIR"):
        return Path(named)
    return first_folder(Path("config"), ROOT / "config", SHIPPED / "config")


def first_folder(*folders: Path) -> Path:
    """Return the first that exists, else the last: it is named in what is said of its absence."""
    return next((folder for folder in folders if folder.is_dir()), folders[-1])
