"""A worker that could not do its work says why and ends; it never looks healthy (Bad input: rules)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import MASTER_KEY
from tests.services import ROOT


def start(config: Path, worker_url: str, redis_url: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Start a worker and wait for its end."""
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-Q", "sweep", "-P", "threads", "-c", "1"],
        env={
            **os.environ, "NOTIFIER_CONFIG_DIR": str(config), "NOTIFIER_DATABASE_URL": worker_url,
            "NOTIFIER_REDIS_URL": redis_url, "NOTIFIER_MASTER_KEY": MASTER_KEY, **env,
        },
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_worker_with_a_broken_rule_says_where_and_ends(
    worker_url: str, redis_url: str, tmp_path: Path
) -> None:
    """File, line, field and mend are in its log; the exit code says configuration."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    rules = tmp_path / "config/rules/orders.yaml"
    rules.write_text(rules.read_text() + "\n  - notify: broken\n    on: order.shipped\n    recipient: [to]\n")

    ended = start(tmp_path / "config", worker_url, redis_url)

    assert ended.returncode == 78
    line = len(rules.read_text().splitlines())
    assert f"orders.yaml:{line}" in ended.stderr
    assert "recipients" in ended.stderr


def test_a_worker_with_another_master_key_says_so_and_ends(worker_url: str, redis_url: str) -> None:
    """It could read nothing; better to say it than to fail every message."""
    from notifier.crypto import MasterKeys

    ended = start(ROOT / "config", worker_url, redis_url, NOTIFIER_MASTER_KEY=MasterKeys.new_line("test"))

    assert ended.returncode == 78
    assert "worker.refused" in ended.stderr
