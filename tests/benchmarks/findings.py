"""What was found about one row of the targets, and how is it kept as JSON?"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.measure import Measured


@dataclass(frozen=True, slots=True)
class Finding:
    """One target and what was measured for it; `met` is None where there was nobody to compare with."""

    what: str
    target: str
    measured: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Beside:
    """The same race once more under other circumstances, which the caption names; it decides nothing."""

    caption: str
    contenders: Sequence[Measured]


@dataclass(frozen=True, slots=True)
class RowResult:
    """One row: its findings, every contender's runs, and single figures that belong to neither.

    `caption` says under which circumstances the contenders ran, where there is a race `beside` it.
    """

    title: str
    findings: Sequence[Finding]
    contenders: Sequence[Measured] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    caption: str = ""
    beside: Sequence[Beside] = ()


def document_of(result: RowResult, *, size_bytes: int | None = None) -> dict[str, Any]:
    """Return a row as plain JSON: medians first, all runs below."""
    return {
        "title": result.title,
        "findings": [asdict(finding) for finding in result.findings],
        "contenders": [_contender(one) for one in result.contenders],
        "facts": dict(result.facts),
        "caption": result.caption,
        "beside": [
            {"caption": one.caption, "contenders": [_contender(each) for each in one.contenders]}
            for one in result.beside
        ],
        "size_bytes": size_bytes,
    }


def _contender(one: Measured) -> dict[str, Any]:
    return {
        "name": one.name,
        "verifies": one.verifies,
        "wall_seconds": round(one.wall_seconds, 4),
        "spread": round(one.spread, 3),
        "cpu_seconds": round(one.cpu_seconds, 4),
        "peak_bytes": one.peak_bytes,
        "runs": [
            {
                "wall_seconds": run.wall_seconds,
                "user_seconds": run.user_seconds,
                "system_seconds": run.system_seconds,
                "peak_bytes": run.peak_bytes,
            }
            for run in one.samples
        ],
    }
