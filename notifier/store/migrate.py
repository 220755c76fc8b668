"""Bring the database to the newest schema with Alembic, as the migrator role."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from notifier.store.database import sqlalchemy_url

_SCRIPTS = Path(__file__).parent / "migrations"


def migrate(url: str, to: str = "head") -> str:
    """Upgrade to a revision, one process at a time, and return it; the newest, unless another is named."""
    config = _config()
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        # Two deployments at once must not both create the tables.
        connection.exec_driver_sql("SELECT pg_advisory_lock(7019283)")
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, to)
        connection.exec_driver_sql("SELECT notifier_make_partitions(1)")
        connection.commit()
        connection.exec_driver_sql("SELECT pg_advisory_unlock(7019283)")
        connection.commit()
    return newest() if to == "head" else to


def newest() -> str:
    """Return the revision this release needs."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def current(url: str) -> str | None:
    """Return the revision the database is at."""
    with create_engine(sqlalchemy_url(url), poolclass=NullPool).connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    return config
