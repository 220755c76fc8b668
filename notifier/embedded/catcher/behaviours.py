"""Decide how the catcher treats a recipient, by a word in the address's local part.

A table and a counter; knows no socket.

=============  =====  ============================================================================
word           phase  what happens
=============  =====  ============================================================================
``greylist``   RCPT   ``450 4.7.1`` once per recipient, then accepted (RFC 6647)
``unknown``    RCPT   ``550 5.1.1``: a hard bounce
``full``       RCPT   ``452 4.2.2`` always: retried until exhausted
``bounce``     dot    ``554 5.2.1`` after the data: the mailbox is disabled
``busy``       dot    ``451 4.3.0`` after the data, once per recipient, then accepted
``slow``       RCPT   waits three seconds, then accepted
``cut``        dot    keeps the mail, then cuts the connection instead of answering, once
=============  =====  ============================================================================

A YAML file of the same shape replaces the table::

    vip: {phase: rcpt, reply: "451 4.3.0 Try later", times: 2}
    slow: {delay: 500ms}
    cut: {phase: dot, is_cut: true, times: 1}
"""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field

from notifier.documents import Duration, Strict, load

ACCEPTED = "250 2.0.0 Ok"


class Behaviour(Strict):
    """How to treat a recipient; by default like any other."""

    phase: Literal["rcpt", "dot"] = "rcpt"
    reply: str = Field(default=ACCEPTED, pattern=r"^[245]\d\d ")
    """What to answer, without line breaks."""
    times: int | None = Field(default=None, ge=1)
    """How often per recipient; for ever if not set."""
    delay: Duration = timedelta()
    is_cut: bool = False
    """Cut the connection instead of answering; at the dot the mail is kept first (RFC 1047's trap)."""


NORMAL = Behaviour()

TABLE: Mapping[str, Behaviour] = {
    "greylist": Behaviour(reply="450 4.7.1 Greylisted, please try again later", times=1),
    "unknown": Behaviour(reply="550 5.1.1 No such user here"),
    "full": Behaviour(reply="452 4.2.2 Mailbox full"),
    "bounce": Behaviour(phase="dot", reply="554 5.2.1 Mailbox disabled, not accepting messages"),
    "busy": Behaviour(phase="dot", reply="451 4.3.0 Try again later", times=1),
    "slow": Behaviour(delay=timedelta(seconds=3)),
    "cut": Behaviour(phase="dot", is_cut=True, times=1),
}


def read_table(file: Path) -> Mapping[str, Behaviour]:
    """Read a table from YAML.

    Raises:
        ConfigError: with file, line and field.
    """
    document = load(file)
    if not isinstance(document.value, dict):
        raise document.error("must be a mapping of words to behaviours", mend="write `word: {reply: ...}`")
    return {str(word): document.read(Behaviour, (word,)) for word in document.value}


class Behaviours:
    """The table with its memory of whom it treated how often."""

    def __init__(self, table: Mapping[str, Behaviour] = TABLE) -> None:
        # The longest word wins: the most telling one.
        self._table = sorted(table.items(), key=lambda item: -len(item[0]))
        self._seen: Counter[tuple[str, str]] = Counter()

    def treat(self, recipient: str, phase: Literal["rcpt", "dot"]) -> Behaviour:
        """Return what to do to this recipient now, and count it."""
        local = recipient.rpartition("@")[0].lower()
        for word, behaviour in self._table:
            if word in local and behaviour.phase == phase:
                self._seen[word, recipient.lower()] += 1
                is_over = (
                    behaviour.times is not None and self._seen[word, recipient.lower()] > behaviour.times
                )
                return NORMAL if is_over else behaviour
        return NORMAL
