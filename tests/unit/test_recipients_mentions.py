"""A person is found in an event's data, and taken out of it; what is others' stays."""

import pytest

from notifier.events import Json
from notifier.recipients.mentions import ERASED, Known, is_theirs, without

ADA = Known().plus(
    {"email": "Ada@Example.com", "phone": "+49 170 1234567", "name": "Ada Brandt", "contact": "C-2081"}
)
CUSTOMER = ("customer.name", "customer.email", "note")


@pytest.mark.parametrize(
    "value",
    [
        "ada@example.com",
        " ADA@example.COM ",
        "\uff21da@example.com",
        "+491701234567",
        "call 0049 or +49 (170) 123-4567 at noon",
        "From Ada Brandt <ada@example.com>, today",
        "ada brandt called",
        "C-2081",
        ["x", {"deep": [{"er": "ada@example.com"}]}],
        {"ada@example.com": 1},
    ],
)
def test_a_person_is_found_however_they_are_spelled(value: Json) -> None:
    """Letter case, Unicode forms, blanks in numbers, within a text, in a key."""
    assert ADA.is_in(value)


@pytest.mark.parametrize(
    "value",
    [
        "xada@example.com",
        "ada@example.com-pany.org",
        "Ada",
        "Ada Brandtner",
        "C-20817",
        "1234567",
        "+4917012345678",
        None,
        7,
        {},
    ],
)
def test_others_are_not_taken_for_the_person(value: Json) -> None:
    """A longer address, a first name, another number."""
    assert not ADA.is_in(value)


@pytest.mark.parametrize("known", ["jo@bücher.example", "jo@xn--bcher-kva.example"])
@pytest.mark.parametrize("text", ["from Jo@Bücher.example", "from jo@xn--bcher-kva.example, today"])
def test_a_domain_is_found_in_both_its_spellings(known: str, text: str) -> None:
    """As people write it, and as mail servers do."""
    assert Known(addresses=frozenset({known})).is_in({"note": text})


def test_a_whole_number_can_be_a_reference() -> None:
    """And true is no number."""
    known = Known().plus({"reference": "1"})

    assert known.is_in({"id": 1})
    assert not known.is_in({"id": True})


def test_one_word_is_nobodys_name() -> None:
    """A desk called Support would be in every ticket."""
    assert not Known().plus({"name": "Support"}).is_in("support")


def test_an_event_that_does_not_name_the_person_stays_as_it_is() -> None:
    """They were on a list."""
    private = {"data": {"host": "db-02"}, "to": [{"email": "bob@example.com"}]}

    assert without(private, (), ADA) is None


def test_an_addressee_goes_from_the_addressees_alone() -> None:
    """Nothing else of the event was theirs: files and data stay; a namesake is somebody else."""
    namesake = {"email": "other@example.com", "name": "Ada Brandt"}
    private = {
        "data": {"host": "db-02"},
        "to": [{"email": "ada@example.com", "name": "Ada Brandt"}, namesake],
        "attachments": [{"name": "log.txt", "content": "eA=="}],
    }

    left = without(private, (), ADA)

    assert left is not None
    assert not left.is_about
    assert left.private == {**private, "to": [namesake]}


def test_the_last_addressee_leaves_no_empty_list() -> None:
    """The event is then as one that never had any."""
    left = without({"data": {}, "to": [{"phone": "+491701234567"}]}, (), ADA)

    assert left is not None
    assert left.private == {"data": {}}


def test_what_is_about_the_person_loses_its_personal_fields_and_files() -> None:
    """Named by one of them, all of them are theirs; the rest of the data stays."""
    data = {
        "customer": {"name": "A. B.", "email": "ada@example.com", "tier": "gold"},
        "note": "too small",
        "order": "48213",
        "lines": [{"text": "for Ada Brandt"}, {"text": "socks"}],
    }

    left = without({"data": data, "attachments": [{"name": "a.pdf"}]}, CUSTOMER, ADA)

    assert left is not None
    assert left.is_about
    assert left.private == {
        "data": {
            "customer": {"name": ERASED, "email": ERASED, "tier": "gold"},
            "note": ERASED,
            "order": "48213",
            "lines": [{"text": ERASED}, {"text": "socks"}],
        }
    }


def test_personal_fields_with_somebody_elses_address_are_somebody_elses() -> None:
    """The addressee goes; the customer it is about stays whole."""
    data = {"customer": {"name": "Priya Nair", "email": "p.nair@example.org"}, "note": "mail ada@example.com"}
    private = {"data": data, "to": [{"email": "ada@example.com"}]}

    left = without({**private, "data": {**data, "note": "fine"}}, CUSTOMER, ADA)
    named = without(private, CUSTOMER, ADA)

    assert left is not None
    assert left.private == {"data": {**data, "note": "fine"}}
    assert named is not None
    assert named.is_about


def test_personal_fields_that_say_nothing_of_whose_they_are_belong_to_whom_the_event_names() -> None:
    """A requester's name beside the requester's address in ``to``; objects and lists are reached into."""
    data = {"note": "my VPN", "customer": {"name": {"first": "A", "last": ["B", "C"]}}}

    left = without({"data": data, "to": [{"email": "ada@example.com"}]}, CUSTOMER, ADA)

    assert left is not None
    assert left.private == {
        "data": {"note": ERASED, "customer": {"name": {"first": ERASED, "last": [ERASED, ERASED]}}}
    }
    assert not is_theirs({"order": "1"}, CUSTOMER, ADA)


def test_a_path_reaches_through_lists() -> None:
    """Each item's field."""
    data = {"guests": [{"name": "Ada Brandt"}, {"name": "Bob"}]}

    left = without({"data": data}, ("guests.name",), ADA)

    assert left is not None
    assert left.private == {"data": {"guests": [{"name": ERASED}, {"name": ERASED}]}}
