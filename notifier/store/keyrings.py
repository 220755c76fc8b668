"""Keep the keyring: a few keys, each wrapped under a master key that lives outside."""

from notifier.crypto import Keyring, MasterKeys, Purpose
from notifier.crypto.keyring import RingKey, public_key
from notifier.crypto.sealing import new_key
from notifier.store.database import Connection, Database
from notifier.store.reports import publish_sealing_key


def load_keyring(connection: Connection, master: MasterKeys) -> Keyring:
    """Open the ring.

    Raises:
        CannotUnseal: a master key is missing or wrong, or the ring was never made.
    """
    return Keyring(ring_keys(connection, master))


def open_keyring(database: Database, master: MasterKeys) -> Keyring:
    """Open the ring for a long-lived process: keys of a later rotation are found when they are needed.

    Raises:
        CannotUnseal: as :func:`load_keyring`.
    """

    def read() -> list[RingKey]:
        with database.connection() as connection:
            return ring_keys(connection, master)

    return Keyring(read(), reload=read)


def ring_keys(connection: Connection, master: MasterKeys) -> list[RingKey]:
    """Return the keys of the ring, unwrapped, the oldest first."""
    rows = connection.execute("SELECT id, purpose, master, wrapped FROM keyring ORDER BY id").fetchall()
    return [RingKey(id=row[0], purpose=Purpose(row[1]), key=master.unwrap(row[2], row[3])) for row in rows]


def init_keyring(connection: Connection, master: MasterKeys) -> int:
    """Add the purposes that have no key yet; return how many were added. Safe to repeat."""
    connection.execute("LOCK TABLE keyring IN SHARE ROW EXCLUSIVE MODE")
    present = {row[0] for row in connection.execute("SELECT DISTINCT purpose FROM keyring").fetchall()}
    missing = [purpose for purpose in Purpose if purpose.value not in present]
    for purpose in missing:
        key = new_key()
        _add(connection, master, purpose, key)
        if purpose is Purpose.INTAKE:
            publish_sealing_key(connection, public_key(key))
    return len(missing)


def rotate(connection: Connection, master: MasterKeys) -> int:
    """Rewrap every key under the active master key and start a new ``data`` key; return how many were rewrapped.

    Old data stays readable: its data keys are wrapped under ring keys that stay in the ring.
    """
    connection.execute("LOCK TABLE keyring IN SHARE ROW EXCLUSIVE MODE")
    rows = connection.execute("SELECT id, master, wrapped FROM keyring").fetchall()
    for key_id, name, wrapped in rows:
        connection.execute(
            "UPDATE keyring SET master = %s, wrapped = %s WHERE id = %s",
            [*master.wrap(master.unwrap(name, wrapped)), key_id],
        )
    _add(connection, master, Purpose.DATA, new_key())
    return len(rows)


def _add(connection: Connection, master: MasterKeys, purpose: Purpose, key: bytes) -> None:
    name, wrapped = master.wrap(key)
    connection.execute(
        "INSERT INTO keyring (purpose, master, wrapped) VALUES (%s, %s, %s)", [purpose.value, name, wrapped]
    )
