"""The Celery app without some of its safeguards: ``celery -A tests.faults.sabotaged worker``.

Which ones, ``NOTIFIER_TEST_SABOTAGE`` says.
"""

import os

from tests.faults.sabotage import apply

apply(os.environ.get("NOTIFIER_TEST_SABOTAGE", ""))

from workers.app import app  # noqa: E402 - the stages are made when the app loads its tasks

__all__ = ["app"]
