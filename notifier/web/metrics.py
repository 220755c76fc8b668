"""Turn what Redis and PostgreSQL know into Prometheus metrics; numbers and names only, no ids.

Pure: takes what the probes answered. A part that did not answer is ``notifier_up 0`` and has no other metric.
"""

import platform
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from notifier import __version__
from notifier.broker.counters import BUCKETS
from notifier.store.backlogs import ThrottleLevel
from notifier.store.rule_sets import RulesView
from notifier.store.soundings import AlertTotals, ReportTotals, Sounding
from notifier.web.broker import BrokerView
from notifier.web.probes import Answer

_FLOW = ["channel", "lane"]


def render(
    database: Answer[Sounding],
    redis: Answer[BrokerView],
    *,
    callbacks: Mapping[tuple[str, str], int],
    is_safe: bool,
    accept: str,
) -> tuple[bytes, str]:
    """Return the page and its media type, in the format the scraper accepts.

    ``callbacks``: by provider and outcome, how many this process was given. ``is_safe``: its settings have safe mode.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Snapshot(database.value, redis.value, callbacks, is_safe=is_safe))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


class Snapshot(Collector):
    """All metrics of one moment."""

    def __init__(
        self,
        database: Sounding | None,
        redis: BrokerView | None,
        callbacks: Mapping[tuple[str, str], int],
        *,
        is_safe: bool,
    ) -> None:
        self._database, self._redis, self._callbacks, self._is_safe = database, redis, callbacks, is_safe

    def collect(self) -> Iterator[Metric]:
        """Return what is known."""
        yield InfoMetricFamily(
            "notifier_build", "This release.", {"version": __version__, "python": platform.python_version()}
        )
        up = GaugeMetricFamily("notifier_up", "Whether a part the service needs answers.", labels=["part"])
        up.add_metric(["database"], float(self._database is not None))
        up.add_metric(["redis"], float(self._redis is not None))
        yield up
        yield GaugeMetricFamily(
            "notifier_safe_mode", "Whether only whom safe mode names is written to.", float(self._is_safe)
        )
        callbacks = CounterMetricFamily(
            "notifier_callbacks", "Callbacks of providers, since this process started.",
            labels=["provider", "outcome"],
        )  # fmt: skip
        for (provider, outcome), count in sorted(self._callbacks.items()):
            callbacks.add_metric([provider, outcome], count)
        yield callbacks
        if self._redis is not None:
            yield from _of_redis(self._redis)
        if self._database is not None:
            yield from _of_database(self._database)


def _of_redis(view: BrokerView) -> Iterator[Metric]:
    messages = CounterMetricFamily(
        "notifier_messages", "What became of messages; starts anew when Redis loses its memory.",
        labels=["channel", "outcome", "lane"],
    )  # fmt: skip
    for label, count in sorted(view.counts.items()):
        channel, outcome, lane = label.split("|")
        messages.add_metric([channel, outcome, lane], count)
    yield messages
    receipts = CounterMetricFamily(
        "notifier_receipts", "What was reported of messages that left.", labels=["channel", "kind", "class"]
    )
    for label, count in sorted(view.receipts.items()):
        receipts.add_metric(label.split("|"), count)
    yield receipts
    yield _latencies(view.latencies)
    intake = GaugeMetricFamily("notifier_intake_entries", "Events not ingested yet.", labels=["lane"])
    for lane, length in view.intake.items():
        intake.add_metric([lane.value], length)
    yield intake


def _latencies(fields: Mapping[str, float]) -> Metric:
    """Return the histogram; Prometheus wants each bucket to hold those below it too."""
    histogram = HistogramMetricFamily(
        "notifier_delivery_seconds", "From the message's making to its acceptance by the relay.", labels=_FLOW
    )
    by_flow: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for label, value in sorted(fields.items()):
        channel, lane, bound = label.split("|")
        by_flow[channel, lane][bound] = value
    for flow, values in by_flow.items():
        total, buckets = 0.0, list[tuple[str, float]]()
        for bound in (*(str(bucket) for bucket in BUCKETS), "+Inf"):
            total += values.get(bound, 0.0)
            buckets.append((bound, total))
        histogram.add_metric(list(flow), buckets, values.get("sum", 0.0))
    return histogram


def _of_throttles(levels: Sequence[ThrottleLevel]) -> Iterator[Metric]:
    """Return what was learned of flows: few, and domains of their own together, so that labels do not grow."""
    labels = ["relay", "destination"]
    rate = GaugeMetricFamily(
        "notifier_throttle_rate", "Messages a second a flow may send, learned from refusals.", labels=labels
    )
    rest = GaugeMetricFamily(
        "notifier_throttle_rest_seconds", "How long the flow still rests.", labels=labels
    )
    for one in levels:
        rate.add_metric([one.relay, one.destination], one.rate)
        rest.add_metric([one.relay, one.destination], one.resting)
    yield from (rate, rest)


def _of_database(sounding: Sounding) -> Iterator[Metric]:
    waiting = GaugeMetricFamily("notifier_backlog_messages", "Messages still to be sent.", labels=_FLOW)
    held = GaugeMetricFamily("notifier_held_messages", "Messages that wait for a person.", labels=_FLOW)
    oldest = GaugeMetricFamily(
        "notifier_oldest_due_seconds", "How long the oldest due message has waited.", labels=_FLOW
    )
    for row in sounding.backlogs:
        flow = [row.channel, row.lane]
        waiting.add_metric(flow, row.waiting)
        held.add_metric(flow, row.held)
        oldest.add_metric(flow, row.oldest)
    yield from (waiting, held, oldest)
    yield from _of_throttles(sounding.throttles)
    letters = GaugeMetricFamily(
        "notifier_dead_letters", "Events that could not be processed and wait for a retry.", labels=["kind"]
    )
    for kind, count in ({"refused": 0, "poison": 0} | dict(sounding.dead_letters)).items():
        letters.add_metric([kind], count)
    yield letters
    if sounding.reports is not None:
        yield from _of_reports(sounding.reports)
    if sounding.sweep_age is not None:
        yield GaugeMetricFamily(
            "notifier_sweep_age_seconds", "Since the sweep last ran.", sounding.sweep_age.total_seconds()
        )
    if sounding.alerts is not None:
        yield from _of_alerts(sounding.alerts)
    if sounding.unreadable is not None:
        yield GaugeMetricFamily(
            "notifier_unreadable_mails",
            "Mails of the last 30 days that came back and could not be read.",
            sounding.unreadable,
        )
    if sounding.rules is not None:
        yield from _of_rules(sounding.rules)


def _of_alerts(totals: AlertTotals) -> Iterator[Metric]:
    alerts = GaugeMetricFamily("notifier_alerts", "Alerts that fire, over all tenants.", labels=["status"])
    alerts.add_metric(["firing"], totals.firing)
    alerts.add_metric(["acknowledged"], totals.acknowledged)
    yield alerts
    yield GaugeMetricFamily(
        "notifier_alert_groups_late_seconds",
        "How long the alert group has waited that should have spoken first.",
        totals.late,
    )


def _of_reports(totals: ReportTotals) -> Iterator[Metric]:
    reports = GaugeMetricFamily("notifier_reports", "Reports about messages that left.", labels=["state"])
    for state in ("waiting", "unmatched", "failed"):
        reports.add_metric([state], getattr(totals, state))
    yield reports
    yield GaugeMetricFamily(
        "notifier_reports_oldest_seconds", "How long the oldest report has waited.", totals.oldest
    )


def _of_rules(view: RulesView) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "notifier_rules_refused",
        "Whether a worker runs older rules than its files hold, since these are wrong.",
        float(view.refused > 0),
    )
    yield GaugeMetricFamily(
        "notifier_rules_adopted_timestamp_seconds",
        "When other rules than before were adopted last.",
        view.adopted_at.timestamp(),
    )
    running = GaugeMetricFamily("notifier_rules_info", "The rules that workers run.", labels=["hash"])
    for rules_hash in view.running:
        running.add_metric([rules_hash], 1)
    yield running
