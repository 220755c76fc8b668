"""Give what another product calls by any words a name that our rules take.

The same words have the same name, other words another; the first to come keeps the plain one.
"""

import re
import unicodedata
from dataclasses import dataclass, field

_FOREIGN = re.compile(r"[^a-z0-9_-]+")


@dataclass(slots=True)
class Names:
    """The names given so far, for one kind of thing."""

    given: dict[str, str] = field(default_factory=dict)

    def of(self, words: str, fallback: str) -> str:
        """Return the name for some words; ``fallback`` where no letter of them can stand in one."""
        if words not in self.given:
            self.given[words] = self._free(slug(words) or fallback)
        return self.given[words]

    def fresh(self, words: str, fallback: str) -> str:
        """Return a name nobody has yet, also for words that came before."""
        name = self._free(slug(words) or fallback)
        self.given[f"\0{name}"] = name
        return name

    def _free(self, name: str) -> str:
        taken = set(self.given.values())
        number, free = 2, name
        while free in taken:
            free, number = f"{name}-{number}", number + 1
        return free


def slug(words: str) -> str:
    """Return the words in small letters, digits, and dashes for all else."""
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    return _FOREIGN.sub("-", plain.lower()).strip("-_")
