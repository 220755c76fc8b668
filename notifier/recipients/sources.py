"""Say where a rule finds its recipients: the four forms an entry under ``recipients:`` can take.

Shapes only; ``resolve`` turns them into people.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from notifier.documents import Strict

DataPath = Annotated[
    str,
    Field(pattern=r"^\w+(\.\w+)*$", description="A path in data, such as customer.email or items.0.owner."),
]


class DataSource(Strict):
    """People named in the event's data: an address, an object, or a list of them."""

    data: DataPath = Field(
        description="Where an address stands, an object {email, phone, name, locale, zone, contact}, "
        "or a list of them."
    )
    phone: DataPath | None = None
    name: DataPath | None = None
    locale: DataPath | None = None
    zone: DataPath | None = None

    @property
    def companions(self) -> dict[str, str]:
        """Return field → path for what stands beside the address; used when ``data`` is one person."""
        paths = {"phone": self.phone, "name": self.name, "locale": self.locale, "zone": self.zone}
        return {field: path for field, path in paths.items() if path is not None}


class ListSource(Strict):
    """The members of a list or role of notifier.yaml."""

    members_of: str = Field(alias="list", description="A list or role of notifier.yaml.")


class ContactSource(Strict):
    """The person of the contact table whose reference stands in the event's data."""

    contact: DataPath = Field(description="The path in data of a contact reference.")


def _form(value: object) -> str | None:
    if value == "to":
        return "addressee"
    if isinstance(value, DataSource | ListSource | ContactSource):
        return type(value).__name__
    if isinstance(value, Mapping):
        for key, form in (("data", "DataSource"), ("list", "ListSource"), ("contact", "ContactSource")):
            if key in value:
                return form
    return None


# The tags must not be words of the file: pydantic puts them into the path of an error.
Source = Annotated[
    Annotated[Literal["to"], Tag("addressee")]
    | Annotated[DataSource, Tag("DataSource")]
    | Annotated[ListSource, Tag("ListSource")]
    | Annotated[ContactSource, Tag("ContactSource")],
    Discriminator(
        _form,
        custom_error_type="source_form",
        custom_error_message="must be `to`, or an entry with `data:`, `list:` or `contact:`",
    ),
]
"""One entry under ``recipients:``."""
