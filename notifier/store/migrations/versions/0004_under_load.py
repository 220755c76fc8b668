"""Under load: indexes for what is asked for each message; paused tenants aside; partitions despite stray rows."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the indexes, the state of what rests, and a function that makes partitions one by one."""
    driver = op.get_bind().connection.dbapi_connection
    driver.execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))  # type: ignore[union-attr]
