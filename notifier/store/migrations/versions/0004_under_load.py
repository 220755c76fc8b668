"""Under load: what is asked for each message has its index; a paused tenant stands in nobody's way."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the indexes, and the state of what rests."""
    driver = op.get_bind().connection.dbapi_connection
    driver.execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))  # type: ignore[union-attr]
