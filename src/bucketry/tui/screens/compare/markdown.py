"""How is a comparison copied into a review or a chat? As Markdown tables, in which foreign text is nothing but text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.schema.documents.datasets import dataset_labels
from bucketry.schema.text import markdown_text
from bucketry.tui.drawing.figures import NOTHING
from bucketry.tui.drawing.verdict_words import (
    aligned_number,
    percent_text,
    signed_text,
    value_text,
    verdict_span,
    wanted_text,
)
from bucketry.tui.screens.compare.items import sections_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bucketry.schema.judging.comparison import MetricDiff
    from bucketry.tui.data.comparisons import LoadedComparison

LONGEST_VALUE = 60


def comparison_markdown(compared: LoadedComparison, *, with_unchanged: bool) -> str:
    """Return the whole comparison, or what differs: also what the screen cuts for its width."""
    return "\n".join(_lines(compared, with_unchanged=with_unchanged)) + "\n"


def _lines(compared: LoadedComparison, *, with_unchanged: bool) -> Iterator[str]:
    diff = compared.diff
    others = ", ".join(subject.name for subject in diff.others)
    yield f"### {markdown_text(f'{diff.baseline.name} -> {others}')}"
    rows = [metric for metric in compared.whole if with_unchanged or metric.is_changed]
    slices = [row for group in compared.groups for row in group.slices if with_unchanged or row.is_changed]
    if rows or slices:
        yield ""
        yield from _metric_table(compared, [*rows, *slices])
    for title, items in sections_of(diff):
        shown = [item for item in items if with_unchanged or item.is_changed]
        if shown:
            yield ""
            names = [subject.name for subject in diff.versions] if title != "CARD SECTION" else []
            yield _row([title.capitalize(), *names, *("Change" for _ in diff.others)])
            yield _rule(1 + len(names) + len(diff.others))
            for item in shown:
                found = zip(item.values, item.is_present, strict=True)
                values = [_short(value_text(value)) if there else NOTHING for value, there in found] if names else []
                yield _row([item.name, *values, *(change.value for change in item.changes)])
    yield ""
    for _, result in compared.gates:
        said = f"gate {result.gate}: {'ok' if result.passed else f'FAILED, {result.reason}'}"
        yield f"- {markdown_text(said)}"


def _metric_table(compared: LoadedComparison, rows: Sequence[MetricDiff]) -> Iterator[str]:
    names = [subject.name for subject in compared.diff.versions]
    pair = len(names) == 2
    titles = ["Metric", "Data", "Slice", "Want", names[0]]
    for name in names[1:]:
        titles += [name, "Delta", "Delta%", "Verdict"] if pair else [name, "Verdict"]
    yield _row(titles)
    yield _rule(len(titles))
    labels = dataset_labels(metric.dataset for metric in compared.diff.metrics)
    for row in rows:
        part = ", ".join(f"{name}={value}" for name, value in row.slice)
        cells = [row.name, labels[row.dataset], part, wanted_text(row), aligned_number(row, 0)]
        for place, one in enumerate(row.comparisons):
            cells.append(aligned_number(row, place + 1))
            cells += [signed_text(row, place), percent_text(one)] if pair else []
            cells.append(verdict_span(row, place).text)
        yield _row(cells)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown_text(cell) or " " for cell in cells) + " |"


def _rule(columns: int) -> str:
    return "|" + " --- |" * columns


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
