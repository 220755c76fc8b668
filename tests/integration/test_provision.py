"""A fresh database server becomes ours: roles, database, schema, keys; by one command, as often as wanted."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from notifier.embedded.postgres import PostgresServer
from notifier.store.roles import MIGRATOR, WEB, WORKER
from tests.conftest import MASTER_KEY, ROLE_PASSWORD

pytestmark = pytest.mark.servers


@dataclass
class Deployment:
    """What a deployment's files and variables say."""

    environment: dict[str, str]
    worker_url: str

    def provision(self, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run the job."""
        return subprocess.run(
            [sys.executable, "-m", "notifier.store.provision"],
            env={**os.environ, **self.environment, **changes},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def deployment(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Deployment]:
    """A database that is not there yet; every URL is a secret in a file."""
    postgres_server.start()
    name = f"provision_{uuid4().hex}"
    urls = {
        role: make_url(postgres_server.url(name)).set(username=role, password=ROLE_PASSWORD)
        for role in (MIGRATOR, WORKER, WEB)
    }
    secrets = {
        "ADMIN_DATABASE_URL": postgres_server.url(),
        "MIGRATOR_DATABASE_URL": urls[MIGRATOR].render_as_string(hide_password=False),
        "DATABASE_URL": urls[WORKER].render_as_string(hide_password=False),
        "WEB_DATABASE_URL": urls[WEB].render_as_string(hide_password=False),
        "MASTER_KEY": MASTER_KEY,
    }
    for key, value in secrets.items():
        (tmp_path / key).write_text(value + "\n", "utf-8")
    yield Deployment(
        {f"NOTIFIER_{key}_FILE": str(tmp_path / key) for key in secrets}, secrets["DATABASE_URL"]
    )
    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def test_one_job_makes_everything_and_repeats_in_peace(deployment: Deployment) -> None:
    """The worker's login works and finds its keys; the second run changes nothing."""
    first, second = deployment.provision(), deployment.provision()

    with psycopg.connect(deployment.worker_url) as worker:
        keys = worker.execute("SELECT purpose FROM keyring ORDER BY purpose").fetchall()
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "at revision" in first.stdout
    assert [key for (key,) in keys] == ["data", "index", "intake", "token"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"NOTIFIER_ADMIN_DATABASE_URL_FILE": ""}, "NOTIFIER_ADMIN_DATABASE_URL"),
        ({"NOTIFIER_MIGRATOR_DATABASE_URL_FILE": ""}, "migrator_database_url: is not set"),
        ({"NOTIFIER_MASTER_KEY_FILE": ""}, "no master key"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_made(
    deployment: Deployment, changes: dict[str, str], said: str
) -> None:
    """One line, no traceback, no password, and no database without keys."""
    ended = deployment.provision(**changes)

    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(deployment.worker_url)


def test_a_url_of_another_role_is_refused(deployment: Deployment) -> None:
    """A worker that owns the tables would see through row-level security."""
    owner = Path(deployment.environment["NOTIFIER_MIGRATOR_DATABASE_URL_FILE"])

    ended = deployment.provision(NOTIFIER_DATABASE_URL_FILE=str(owner))

    assert ended.returncode == 1
    assert "database_url: must name the role notifier_worker" in ended.stderr
