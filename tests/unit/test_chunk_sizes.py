"""How many messages a worker claims at once."""

import pytest

from notifier.pipeline.relays.chunk_sizes import ChunkSizes


def test_a_relay_nobody_knows_yet_gets_a_small_chunk() -> None:
    """Its connections share a first burst."""
    assert ChunkSizes(120).of("main") == 20


@pytest.mark.parametrize(
    ("messages", "seconds", "size"),
    [(40, 4.0, 10), (20, 0.2, 100), (20, 0.05, 120), (20, 60.0, 4)],
    ids=["as many as a second takes", "more of a fast relay", "never more than set", "never next to none"],
)
def test_a_chunk_lasts_about_a_second(messages: int, seconds: float, size: int) -> None:
    """Whatever the relay's pace is."""
    sizes = ChunkSizes(120)

    sizes.took("main", messages, seconds)

    assert sizes.of("main") == size
    assert sizes.of("other") == 20


def test_a_pace_that_changes_is_followed() -> None:
    """A relay that became slow has small chunks soon; a chunk of which nothing was sent says nothing."""
    sizes = ChunkSizes(120)
    sizes.took("main", 100, 1.0)

    for _ in range(8):
        sizes.took("main", 10, 1.0)
    sizes.took("main", 0, 5.0)

    assert sizes.of("main") == 10


def test_no_chunk_is_larger_than_set() -> None:
    """Also the first."""
    assert ChunkSizes(7).of("main") == 7
