"""Every vector beside the repository comes out as wanted, or otherwise for a reason that is written down."""

import pytest

from tests.conformance.kinds import discover
from tests.conformance.outcomes import Result
from tests.conformance.runner import run_one
from tests.conformance.vectors import SHARED_FOLDER, Vector, read_vectors

if not SHARED_FOLDER.is_dir():
    pytest.skip("no folder ../shared/data/alerting beside the repository", allow_module_level=True)


@pytest.mark.parametrize("vector", read_vectors(SHARED_FOLDER), ids=lambda vector: vector.id)
def test_vector_comes_out_as_wanted(vector: Vector) -> None:
    """We do what the source does, or differ on purpose."""
    outcome = run_one(vector, discover())

    assert outcome.result is not Result.FAIL, outcome.detail
