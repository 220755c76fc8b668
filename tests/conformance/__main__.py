"""``python -m tests.conformance DIR``: run a folder of vectors and say how each came out."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.conformance.kinds import discover
from tests.conformance.outcomes import Result
from tests.conformance.runner import Report, run
from tests.conformance.vectors import SHARED_FOLDER, VectorsUnreadableError, read_vectors

OK, FAILED, USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when nothing failed, 1 when something did, 2 when there was nothing to run."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=SHARED_FOLDER, help="a folder with *.json")
    parser.add_argument("--json", action="store_true", help="one JSON object per line and vector")
    options = parser.parse_args(arguments)
    try:
        reports = run(read_vectors(options.folder), discover())
    except VectorsUnreadableError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    lines = _json_lines(reports) if options.json else _table(reports)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return FAILED if any(report.outcome.result is Result.FAIL for report in reports) else OK


def _json_lines(reports: Sequence[Report]) -> list[str]:
    return [
        json.dumps(
            {
                "id": report.vector.id,
                "kind": report.vector.kind,
                "result": report.outcome.result.value,
                "detail": report.outcome.detail,
            }
        )
        for report in reports
    ]


def _table(reports: Sequence[Report]) -> list[str]:
    totals = Counter((report.vector.kind, report.outcome.result) for report in reports)
    kinds = sorted({report.vector.kind for report in reports})
    rows = [
        f"{kind:<16}" + "".join(f"{totals[kind, result] or '':>10}" for result in Result) for kind in kinds
    ]
    sums = Counter(report.outcome.result for report in reports)
    return [
        *(_told(report) for report in reports if report.outcome.result is not Result.PASS),
        f"{'kind':<16}" + "".join(f"{result:>10}" for result in Result),
        *rows,
        f"{'all':<16}" + "".join(f"{sums[result]:>10}" for result in Result),
    ]


def _told(report: Report) -> str:
    return f"{report.outcome.result:<10}{report.vector.id}: {report.outcome.detail}"


if __name__ == "__main__":
    sys.exit(main())
