"""Make the three database roles: migrator owns the tables, worker writes all rows, web sees one tenant.

Runs once, as a superuser; everything after it runs with less.
"""

from collections.abc import Mapping

import psycopg
from psycopg import sql

MIGRATOR, WORKER, WEB = "notifier_migrator", "notifier_worker", "notifier_web"
ROLES = (MIGRATOR, WORKER, WEB)


def create_roles(admin_url: str, database: str, passwords: Mapping[str, str]) -> None:
    """Create the roles where absent, set the given passwords, and make ``database`` the migrator's.

    Args:
        admin_url: A superuser's URL of any database of the server.
        database: Created where absent.
        passwords: Role → password; a role without one keeps what it has.
    """
    with psycopg.connect(admin_url, autocommit=True) as admin:
        for role in ROLES:
            if admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
                admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
            if password := passwords.get(role):
                admin.execute(
                    sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
                )
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone() is None:
            admin.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(database), sql.Identifier(MIGRATOR)
                )
            )
        admin.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(
                sql.Identifier(database), sql.Identifier(MIGRATOR)
            )
        )
