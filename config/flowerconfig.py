# noqa: INP001 - Flower reads this file by its path
"""Flower's settings: ``celery -A workers.app flower --conf=config/flowerconfig.py``.

Shows, never acts: tasks are wake-ups, and whatever needs a hand has a command of notifier's own. Options on
the command line win over this file, this file over FLOWER_* variables it does not read itself.
"""

import ipaddress
import os
import sys
from pathlib import Path


def _secret(name: str) -> str:
    if file := os.environ.get(f"{name}_FILE"):
        return Path(file).read_text(encoding="utf-8").strip()
    return os.environ.get(name, "").strip()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# The listening address; containers need 0.0.0.0.
address = os.environ.get("FLOWER_ADDRESS", "127.0.0.1")
port = int(os.environ.get("FLOWER_PORT", "5555"))

# Users: name:password, separated by commas. Without any the page is open and its API answers 401.
basic_auth = [user for user in _secret("FLOWER_BASIC_AUTH").split(",") if user]
if not basic_auth and not _is_loopback(address):
    sys.exit(
        f"Flower would show its page to everyone on {address}: set FLOWER_BASIC_AUTH or "
        "FLOWER_BASIC_AUTH_FILE to name:password, or FLOWER_ADDRESS to 127.0.0.1"
    )
if any(":" not in user for user in basic_auth):
    sys.exit("FLOWER_BASIC_AUTH: each user must be name:password")

# Nobody shuts a worker down, revokes or starts a task from here.
read_only = True
# About 3 KB each; the truth about older ones is in `notifier log`.
max_tasks = 10_000
purge_offline_workers = 3600

# Counters and tasks survive a restart where this names a file.
db = os.environ.get("FLOWER_DB", "") or "flower"
persistent = "FLOWER_DB" in os.environ
state_save_interval = 60_000 if persistent else 0
