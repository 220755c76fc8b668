"""Draw the rows of rules as SVG: types on the left, rules and their branches as an outline, people on the right.

Lays out boxes by counting letters; needs no fonts and no program. Every text is escaped.
"""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from notifier.rules.graph import Band, Graph, Row

_BOX, _PITCH, _GAP = 34, 42, 14
_MARGIN, _INDENT, _HEAD = 16, 22, 44
_LETTER, _SMALL = 8.0, 5.9
"""Widths of a letter on average, of names and of the small print below them; wider fonts are cut by the box."""
_PAD = 10
_LANE = 90
"""Where lines from one column to the next have room."""
_LONGEST = {"type": 34, "rule": 44, "target": 44, "waits": 60}
# XML 1.0 §2.2: these may not stand in a document, not even escaped.
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STYLE = """
text{font:12px system-ui,sans-serif;fill:#111827}
.small{font-size:10px;fill:#4b5563}
.head{font-size:11px;font-weight:600;fill:#4b5563}
.name{font-weight:600}
.box{fill:#fff;stroke:#9ca3af}
.type{fill:#eef2ff;stroke:#818cf8}
.target{fill:#ecfdf5;stroke:#34d399}
.made{fill:#eef2ff;stroke:#818cf8}
.alert{fill:#fef2f2;stroke:#f87171}
.journey{fill:#fffbeb;stroke:#fbbf24}
.off{opacity:.45}
.line{fill:none;stroke:#9ca3af}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Where the columns begin, and how wide they are."""

    types: float
    rules: float
    waits: float
    targets: float

    @classmethod
    def of(cls, graph: Graph) -> "_Columns":
        rows = [row for band in graph.bands for row in band.rows]
        waits = [_width(row.waits, "waits", _SMALL) for row in rows]
        return cls(
            types=_widest([_width(name, "type", _LETTER) for name in graph.types], 0),
            rules=_widest([_row_width(row) + row.depth * _INDENT for row in rows], 80),
            waits=_widest(waits, 40),
            targets=_widest([_width(name, "target", _LETTER) for name in graph.targets], 60),
        )

    @property
    def rules_at(self) -> float:
        return _MARGIN + (self.types + _LANE if self.types else 0)

    @property
    def waits_at(self) -> float:
        return self.rules_at + self.rules + _PAD

    @property
    def targets_at(self) -> float:
        return self.waits_at + self.waits + _LANE

    @property
    def right(self) -> float:
        return self.targets_at + self.targets + _MARGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Rules that share event types, one below the other, with the tops of all their boxes."""

    bands: tuple[Band, ...]
    tops: tuple[tuple[float, ...], ...]
    """Of every row, band by band."""
    types: Mapping[str, float]
    targets: Mapping[str, float]

    @classmethod
    def of(cls, bands: Sequence[Band], start: float) -> "_Block":
        tops: list[tuple[float, ...]] = []
        top = start
        for band in bands:
            tops.append(tuple(top + index * _PITCH for index in range(len(band.rows))))
            top += len(band.rows) * _PITCH + _GAP
        rows = [
            pair for band, at in zip(bands, tops, strict=True) for pair in zip(band.rows, at, strict=True)
        ]
        types = ((name, at[0]) for band, at in zip(bands, tops, strict=True) for name in band.types)
        targets = ((name, at) for row, at in rows for name in row.targets)
        return cls(
            bands=tuple(bands), tops=tuple(tops), types=_spread(_pulls(types), start),
            targets=_spread(_pulls(targets), start),
        )  # fmt: skip

    @property
    def bottom(self) -> float:
        every = [top for at in self.tops for top in at]
        return max([*every, *self.types.values(), *self.targets.values()]) + _BOX


def draw(graph: Graph, title: str = "Rules") -> str:
    """Return the picture as an SVG document."""
    columns = _Columns.of(graph)
    blocks: list[_Block] = []
    bottom: float = _HEAD - _GAP
    for bands in _related(graph.bands):
        blocks.append(_Block.of(bands, bottom + _GAP))
        bottom = blocks[-1].bottom
    width, height = f"{columns.right:.0f}", f"{bottom + _MARGIN:.0f}"
    body = [*_heads(columns), *(piece for block in blocks for piece in _block(block, columns))]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{_text(title)}">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n"
        '<rect width="100%" height="100%" fill="#f9fafb"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _related(bands: Sequence[Band]) -> list[list[Band]]:
    """Return the rules in groups that share no event type: within one all lines are short."""
    groups: list[tuple[set[str], list[Band]]] = []
    for band in bands:
        joined = [group for group in groups if group[0] & set(band.types)]
        names = set(band.types).union(*(group[0] for group in joined))
        members = [one for group in joined for one in group[1]]
        first = groups.index(joined[0]) if joined else len(groups)
        groups[first : first + 1] = [(names, [*members, band])]
        groups = [group for group in groups if not any(group is one for one in joined)]
    return [members for _, members in groups]


def _block(block: _Block, columns: _Columns) -> Iterator[str]:
    yield from _lines(block, columns)
    for name, top in block.types.items():
        yield _box(
            _Box(left=_MARGIN, top=top, width=columns.types, kind="type", name=_cut(name, "type"), whole=name)
        )
    for band, at in zip(block.bands, block.tops, strict=True):
        yield from _band(band, at, columns)
    for name, top in block.targets.items():
        yield _target(name, top, columns)


def _pulls(pairs: Iterator[tuple[str, float]]) -> dict[str, float]:
    """Return the middle of all that a box is joined to: near it the lines are short."""
    found: dict[str, list[float]] = {}
    for name, top in pairs:
        found.setdefault(name, []).append(top)
    return {name: sum(tops) / len(tops) for name, tops in found.items()}


def _spread(pulls: Mapping[str, float], start: float) -> dict[str, float]:
    """Return the top of each box: where it is pulled to, below the one before, and none lower than needed."""
    ordered = sorted(pulls, key=lambda name: pulls[name])
    tops: dict[str, float] = {}
    free = start
    for name in ordered:
        tops[name] = max(free, pulls[name])
        free = tops[name] + _PITCH
    # Boxes that pushed each other down move up again as far as there is room.
    room = max([*pulls.values(), start + (len(ordered) - 1) * _PITCH])
    for name in reversed(ordered):
        tops[name] = min(tops[name], room)
        room = tops[name] - _PITCH
    return tops


def _heads(columns: _Columns) -> Iterator[str]:
    heads = ((_MARGIN, "events" if columns.types else ""), (columns.rules_at, "rules and routes"))
    for at, words in (*heads, (columns.waits_at, "waits and channels"), (columns.targets_at, "people")):
        yield f'<text class="head" x="{at:.0f}" y="{_HEAD - 16}">{words}</text>' if words else ""


def _lines(block: _Block, columns: _Columns) -> Iterator[str]:
    for band, at in zip(block.bands, block.tops, strict=True):
        for name in band.types:
            start = (_MARGIN + columns.types, _middle(block.types[name]))
            yield _curve(start, (columns.rules_at, _middle(at[0])))
        for row, top in zip(band.rows, at, strict=True):
            right = columns.rules_at + row.depth * _INDENT + _row_width(row)
            level, bend = _middle(top), columns.targets_at - _LANE
            if row.targets:
                yield f'<path class="line" d="M{right:.0f} {level:.0f}H{bend:.0f}"/>'
            for name in row.targets:
                yield _curve((bend, level), (columns.targets_at, _middle(block.targets[name])))


def _band(band: Band, tops: Sequence[float], columns: _Columns) -> Iterator[str]:
    off = "" if band.is_enabled else ' class="off"'
    yield f"<g{off}>"
    above: list[float] = []
    for row, top in zip(band.rows, tops, strict=True):
        left = columns.rules_at + row.depth * _INDENT
        del above[row.depth :]
        if above:
            elbow = left - _INDENT / 2
            yield f'<path class="line" d="M{elbow:.0f} {above[-1] + _BOX:.0f}V{_middle(top):.0f}H{left:.0f}"/>'
        above.append(top)
        kind = band.kind if row.depth == 0 else "box"
        whole = "\n".join(part for part in (f"{band.kind} {row.name}", row.condition, row.waits) if part)
        yield _box(
            _Box(
                left=left, top=top, width=_row_width(row), kind=kind, name=_row_name(row),
                below=_cut(row.condition, "rule"), whole=whole,
            )
        )  # fmt: skip
        if row.waits:
            yield _small(columns.waits_at, _middle(top) - 4, _cut(row.waits, "waits"))
    yield "</g>"


def _target(name: str, top: float, columns: _Columns) -> str:
    kind = "made" if name.startswith("→ ") else "target"
    left, width = columns.targets_at, columns.targets
    return _box(_Box(left=left, top=top, width=width, kind=kind, name=_cut(name, "target"), whole=name))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """A box with a name, small print below it, and all of both for whoever points at it."""

    left: float
    top: float
    width: float
    kind: str
    name: str
    whole: str
    below: str = ""


def _box(box: _Box) -> str:
    y = box.top + (15 if box.below else 21)
    more = _small(box.left + _PAD, box.top + 28, box.below) if box.below else ""
    return (
        f'<g><title>{_text(box.whole)}</title><rect class="box {box.kind}" x="{box.left:.0f}" y="{box.top:.0f}" '
        f'width="{box.width:.0f}" height="{_BOX}" rx="5"/>'
        f'<text class="name" x="{box.left + _PAD:.0f}" y="{y:.0f}">{_text(box.name)}</text>{more}</g>'
    )


def _small(x: float, y: float, words: str) -> str:
    return f'<text class="small" x="{x:.0f}" y="{y:.0f}">{_text(words)}</text>'


def _curve(start: tuple[float, float], end: tuple[float, float]) -> str:
    middle = (start[0] + end[0]) / 2
    return (
        f'<path class="line" d="M{start[0]:.0f} {start[1]:.0f}C{middle:.0f} {start[1]:.0f} '
        f'{middle:.0f} {end[1]:.0f} {end[0]:.0f} {end[1]:.0f}"/>'
    )


def _middle(top: float) -> float:
    return top + _BOX / 2


def _row_name(row: Row) -> str:
    return _cut(row.name, "rule") + (" (and goes on)" if row.is_continue else "")


def _row_width(row: Row) -> float:
    name = len(_row_name(row)) * _LETTER
    return max(name, len(_cut(row.condition, "rule")) * _SMALL) + 2 * _PAD


def _width(words: str, kind: str, letter: float) -> float:
    return len(_cut(words, kind)) * letter + 2 * _PAD


def _widest(widths: Sequence[float], least: float) -> float:
    return max([*widths, least])


def _cut(words: str, kind: str) -> str:
    most = _LONGEST[kind]
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _text(words: str) -> str:
    return html.escape(_NO_XML.sub("\ufffd", words))
