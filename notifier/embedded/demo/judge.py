"""Hold what happened against what was expected, and say in words where they differ.

Pure: reads nothing itself.
"""

from collections.abc import Callable, Mapping, Sequence

from notifier.client import Result
from notifier.embedded.demo.evidence import Told
from notifier.embedded.demo.scenarios import Expected


def differences(expected: Expected, result: Result, told: Sequence[Told]) -> list[str]:
    """Return each difference between the expected and the real outcome; none where all is well."""
    heard = [reply for one in told for reply in one.replies]
    found = [
        _difference("state", result.state, expected.state),
        _difference("messages", tuple(f"{one.channel} {one.status}" for one in told), expected.told),
        _difference("tries", sum(one.tries for one in told), expected.tries),
        None
        if expected.says in " ".join(result.reasons)
        else f"expected {expected.says!r} among the reasons, found {result.reasons}",
        *(
            None
            if any(one.startswith(reply) for one in heard)
            else f"expected the reply {reply}, heard {heard}"
            for reply in expected.replies
        ),
    ]
    return [one for one in found if one]


def miscounts(what: str, expected: Mapping[str, int], count: Callable[[str], int]) -> list[str]:
    """Return where someone got more or fewer than expected."""
    found = [_difference(f"{what} to {to}", count(to), number) for to, number in expected.items()]
    return [one for one in found if one]


def _difference(what: str, found: object, expected: object) -> str | None:
    return None if found == expected else f"{what}: expected {expected}, found {found}"
