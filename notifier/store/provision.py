"""Make a fresh database server ready: roles, database, schema, keyring; safe to repeat.

``python -m notifier.store.provision`` is the one-shot job before a deployment's processes start. It alone
needs a superuser, named by NOTIFIER_ADMIN_DATABASE_URL or NOTIFIER_ADMIN_DATABASE_URL_FILE.
"""

import os
import sys
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from notifier.crypto import MasterKeys
from notifier.errors import ConfigError, NotifierError
from notifier.settings import Settings, load_settings
from notifier.store.database import Database
from notifier.store.keyrings import init_keyring
from notifier.store.migrate import migrate
from notifier.store.roles import MIGRATOR, WEB, WORKER, create_roles

ADMIN = "NOTIFIER_ADMIN_DATABASE_URL"


def provision(admin_url: str, settings: Settings) -> str:
    """Make everything the settings' URLs name; roles get the passwords that stand in them.

    Returns:
        The schema's revision.

    Raises:
        ConfigError: a URL is missing, or names another role or database than it must.
    """
    owner = _url(settings, "migrator_database_url", MIGRATOR)
    urls = [owner, _url(settings, "database_url", WORKER), _url(settings, "web_database_url", WEB)]
    if len({url.database for url in urls}) > 1:
        raise ConfigError("the three roles' URLs name different databases", mend="name one database in all")
    # Without a master key nothing must be made that needs one.
    text = settings.master_key
    master = MasterKeys.parse(text.get_secret_value() if text else "")
    passwords = {str(url.username): url.password for url in urls if url.password}
    create_roles(admin_url, str(owner.database), passwords)
    revision = migrate(owner.render_as_string(hide_password=False))
    database = Database(owner.render_as_string(hide_password=False), size=1)
    try:
        with database.transaction() as connection:
            init_keyring(connection, master)
    finally:
        database.dispose()
    return revision


def _url(settings: Settings, field: str, role: str) -> URL:
    secret = getattr(settings, field)
    if secret is None:
        raise ConfigError("is not set", field=field, mend=f"set NOTIFIER_{field.upper()} or …_FILE")
    url = make_url(secret.get_secret_value())
    if url.username != role:
        raise ConfigError(f"must name the role {role}", field=field)
    return url


def _admin_url() -> str:
    if file := os.environ.get(f"{ADMIN}_FILE"):
        return Path(file).read_text(encoding="utf-8").strip()
    if url := os.environ.get(ADMIN):
        return url
    raise ConfigError("no superuser's URL", field=ADMIN, mend=f"set {ADMIN} or {ADMIN}_FILE")


def main() -> None:
    """Provision as the environment says; print the revision, or what is wrong."""
    try:
        revision = provision(_admin_url(), load_settings())
    except NotifierError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
    sys.stdout.write(f"the database is at revision {revision}, its keys are made\n")


if __name__ == "__main__":
    main()
