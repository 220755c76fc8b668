"""Score what notifier makes of labelled mails, by the targets of the corpus.

A folder has ``expected.jsonl`` and ``mails/``. A recipient counts as found only in a mail called a bounce, under its
address or one of its aliases; a wrong address that is called hard costs precision.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from notifier.inbound.reading import read_report
from notifier.inbound.report import MailReport

VISIBLE = Path(__file__).parents[2] / ".." / "shared" / "data" / "bounces"


@dataclass(frozen=True, slots=True)
class Miss:
    """One thing that was read otherwise than labelled."""

    file: str
    what: str
    wanted: str
    got: str


@dataclass(slots=True)
class Score:
    """Counts over mails."""

    counts: Counter[str] = field(default_factory=Counter)
    misses: list[Miss] = field(default_factory=list)
    seconds: float = 0.0

    def share(self, part: str, whole: str) -> float:
        """Return one count as a share of another; 1 of nothing."""
        return self.counts[part] / self.counts[whole] if self.counts[whole] else 1.0

    def figures(self) -> dict[str, float]:
        """Return the figures the targets are about."""
        return {
            "mails": self.counts["mails"],
            "recipients": self.counts["recipients"],
            "found": round(self.share("found", "recipients"), 4),
            "reason": round(self.share("reason", "found"), 4),
            "hard_precision": round(self.share("hard_right", "hard_called"), 4),
            "hard_recall": round(self.share("hard_right", "hard"), 4),
            "false_positives": self.counts["false_positives"],
            "wrong_kind": self.counts["wrong_kind"],
            "extra": self.counts["extra"],
            "ms_per_mail": round(self.seconds / max(1, self.counts["mails"]) * 1000, 3),
        }


def score(folder: Path) -> dict[str, Score]:
    """Return the score of every family of a folder, and of all as ``total``."""
    scores: dict[str, Score] = {"total": Score()}
    for label in labels(folder):
        data = (folder / "mails" / label["file"]).read_bytes()
        started = time.process_time()
        report = read_report(data, received_at=datetime.now(UTC))
        taken = time.process_time() - started
        for one in (scores["total"], scores.setdefault(label["family"], Score())):
            one.seconds += taken
            _count(one, label, report)
    return scores


def labels(folder: Path) -> Iterator[dict]:
    """Yield the labels of a folder."""
    for line in (folder / "expected.jsonl").read_text("utf-8").splitlines():
        if line.strip():
            yield {"family": "", **json.loads(line)}


def _count(one: Score, label: dict, report: MailReport) -> None:
    counts, file = one.counts, label["file"]
    counts["mails"] += 1
    is_bounce = report.kind == "bounce"
    if report.kind != label["kind"]:
        counts["wrong_kind"] += 1
        one.misses.append(Miss(file, "kind", label["kind"], report.kind))
    if label["kind"] != "bounce":
        counts["false_positives"] += is_bounce
        return
    got = {_plain(who.address): who for who in report.recipients} if is_bounce else {}
    counts["hard_called"] += sum(who.hard for who in got.values())
    taken = set()
    for wanted in label["recipients"]:
        counts["recipients"] += 1
        counts["hard"] += wanted["hard"]
        names = [_plain(name) for name in (wanted["address"], *wanted.get("aliases", ()))]
        name = next((name for name in names if name in got), None)
        if name is None:
            one.misses.append(Miss(file, "recipient", names[0], " ".join(got)))
            continue
        taken.add(name)
        who = got[name]
        counts["found"] += 1
        counts["hard_right"] += who.hard and wanted["hard"]
        counts["reason"] += who.reason == wanted["reason"]
        if who.reason != wanted["reason"]:
            one.misses.append(Miss(file, "reason", wanted["reason"], who.reason))
    counts["extra"] += len(set(got) - taken)
    one.misses.extend(Miss(file, "extra", "", name) for name in sorted(set(got) - taken))


def _plain(address: str) -> str:
    return address.replace('"', "").lower()
