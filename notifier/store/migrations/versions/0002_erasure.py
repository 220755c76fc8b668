"""Erasure: find what a person was told however long the log is; erased dead letters wait for nobody."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the index and count anew."""
    driver = op.get_bind().connection.dbapi_connection
    driver.execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))  # type: ignore[union-attr]
