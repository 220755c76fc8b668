"""The one refusal of the serializer: a header that cannot be written safely.

Never quotes the value: it may be an address or an attack.
"""

from notifier.errors import NotifierError


class HeaderError(NotifierError):
    """A header's value cannot be written; ``field`` says which, ``problem`` why."""

    def __init__(self, field: str, problem: str) -> None:
        self.field, self.problem = field, problem
        super().__init__(f"{field}: {problem}")
