"""A refused event belongs to somebody: its producer gets the answer, its tenant sees it."""

import time

import psycopg
import pytest

from notifier.client.wire import Ask, result_key
from tests.services import Flow

pytestmark = pytest.mark.servers


def test_a_refused_event_without_a_tenant_belongs_to_the_default(flow: Flow, web_url: str) -> None:
    """As it would have, had it been accepted."""
    flow.ingest({"type": "no.such", "subject": "S-1", "source": "shop", "id": "e-1", "data": {}})

    answer = flow.services.answers.result(
        Ask(
            tenant="default", source="shop", id="e-1", until="decided", reply=result_key("x"),
            expires_at=time.time() + 60,
        )
    )  # fmt: skip
    with psycopg.connect(web_url) as web:
        web.execute("SELECT set_config('notifier.tenant', 'default', true)")
        seen = web.execute("SELECT external_id FROM dead_letter").fetchall()

    assert answer is not None
    assert answer.state == "refused"
    assert answer.reasons[0].startswith("type: unknown event type")
    assert seen == [("e-1",)]


@pytest.mark.parametrize("tenant", ["", 7, None])
def test_a_tenant_that_is_none_counts_as_not_named(flow: Flow, tenant: object) -> None:
    """The refusal says what is wrong with it."""
    flow.ingest({"type": "no.such", "subject": "S-1", "tenant": tenant})

    assert flow.query("SELECT tenant, field FROM dead_letter") == [("default", "tenant")]
