"""The spine: events, decisions, notifications, messages, attempts, work; keys, roles, row-level security."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything the first release needs."""
    # Straight to the driver: many statements, and none of SQLAlchemy's parameter markers.
    driver = op.get_bind().connection.dbapi_connection
    driver.execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))  # type: ignore[union-attr]
