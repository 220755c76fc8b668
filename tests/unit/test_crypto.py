"""Personal data is sealed, found by blind index, and gone with its key (S6, law 10)."""

import pytest

from notifier.crypto import Keyring, MasterKeys, Purpose, blind_index
from notifier.crypto.keyring import RingKey
from notifier.crypto.sealing import new_key, seal, unseal
from notifier.errors import CannotUnseal, ConfigError, KeyDestroyed
from notifier.ids import uuid7
from notifier.tokens import message_id_of, mint_message_id


def ring(first_id: int = 1) -> Keyring:
    """A keyring with one key for each purpose."""
    return Keyring(
        RingKey(id=first_id + n, purpose=purpose, key=new_key()) for n, purpose in enumerate(Purpose)
    )


def test_a_sealed_value_opens_only_with_its_key_and_in_its_place() -> None:
    """The aad binds the ciphertext to its row and column."""
    key = new_key()

    sealed = seal(key, b"jane", b"person:1")

    assert unseal(key, sealed, b"person:1") == b"jane"
    assert b"jane" not in sealed
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for wrong in ((new_key(), sealed, b"person:1"), (key, sealed, b"person:2"), (key, changed, b"person:1")):
        with pytest.raises(CannotUnseal):
            unseal(*wrong)


def test_equal_plaintexts_have_different_ciphertexts() -> None:
    """Sealed columns tell nothing by comparison."""
    key = new_key()

    assert seal(key, b"same", b"") != seal(key, b"same", b"")


def test_a_data_key_survives_wrapping_and_dies_with_its_wrapped_form() -> None:
    """Erasure is forgetting the wrapped key."""
    keyring = ring()
    key = keyring.new_data_key()

    assert keyring.open_data_key(key.wrapped).key == key.key
    with pytest.raises(KeyDestroyed):
        keyring.open_data_key(None)
    with pytest.raises(CannotUnseal):
        ring(first_id=100).open_data_key(key.wrapped)


def test_a_rotated_master_key_still_opens_what_the_old_one_wrapped() -> None:
    """Both lines stay in the file until everything is rewrapped."""
    old = MasterKeys.new_line("2026-01")
    name, wrapped = MasterKeys.parse(old).wrap(b"k" * 32)

    both = MasterKeys.parse(MasterKeys.new_line("2026-07") + "\n" + old)

    assert both.active == "2026-07"
    assert both.unwrap(name, wrapped) == b"k" * 32
    with pytest.raises(CannotUnseal, match="2026-01"):
        MasterKeys.parse(MasterKeys.new_line("2026-07")).unwrap(name, wrapped)


@pytest.mark.parametrize("line", ["nonsense", "a:AAAA", ":", ""])
def test_a_bad_master_key_line_is_refused_without_being_quoted(line: str) -> None:
    """The message says which line, never what stands there."""
    with pytest.raises(ConfigError) as caught:
        MasterKeys.parse(line)

    assert "AAAA" not in str(caught.value)


def test_the_blind_index_forgives_spelling_and_separates_tenants() -> None:
    """Letter case and phone punctuation do not matter; the tenant and the key do."""
    key = new_key()

    assert blind_index(key, "a", "Jane@Example.com ") == blind_index(key, "a", "jane@example.com")
    assert blind_index(key, "a", "+49 (170) 123-45") == blind_index(key, "a", "+4917012345")
    assert blind_index(key, "a", "jane@example.com") != blind_index(key, "b", "jane@example.com")
    assert blind_index(key, "a", "jane@example.com") != blind_index(new_key(), "a", "jane@example.com")


@pytest.mark.parametrize("domain", ["bücher.example", "xn--bcher-kva.example", "XN--Bcher-KVA.example"])
def test_a_domain_is_the_same_as_people_write_it_and_as_it_stands_on_the_wire(domain: str) -> None:
    """A bounce names the A-labels (RFC 5890); what it suppresses is the address as it was typed."""
    key = new_key()

    assert blind_index(key, "a", f"jo@{domain}") == blind_index(key, "a", "jo@BÜCHER.example")
    assert blind_index(key, "a", "jo@xn--nonsense--.example") != blind_index(key, "a", "jo@bücher.example")


def test_a_message_id_is_believed_only_when_we_minted_it() -> None:
    """A bounce that names another id, or another MAC, finds nothing."""
    key, message = new_key(), uuid7()
    minted = mint_message_id(key, message, "mail.example.com")

    assert message_id_of(key, minted) == message
    assert mint_message_id(key, message, "mail.example.com") == minted
    assert message_id_of(new_key(), minted) is None
    assert message_id_of(key, minted.replace(message.hex, uuid7().hex)) is None
    assert message_id_of(key, "<someone@else.example>") is None
