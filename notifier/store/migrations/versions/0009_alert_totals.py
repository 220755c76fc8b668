"""Totals of alerts over all tenants, for metrics."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the function."""
    driver = op.get_bind().connection.dbapi_connection
    driver.execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))  # type: ignore[union-attr]
