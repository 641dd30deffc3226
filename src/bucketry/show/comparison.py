"""A comparison of versions in words and columns, of which every form of it is made.

`comparison_screen` shows it on a screen, on which one looks at a thing; `comparison_text` for a terminal, in Markdown
and CSV. All say it with the same columns, so with the same words and figures.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from bucketry.frozen import frozen
from bucketry.schema.documents.datasets import dataset_labels
from bucketry.schema.documents.gates import selection_of
from bucketry.schema.judging.comparison import ASSUMED_MARK, ItemChange
from bucketry.schema.judging.comparison_document import diff_digest
from bucketry.schema.judging.gate_checks import is_unread
from bucketry.schema.judging.slice_groups import is_too_small, slice_groups
from bucketry.schema.judging.verdicts import Reason, Verdict
from bucketry.schema.text import displayable
from bucketry.show.figures import NOTHING, count_of
from bucketry.show.spans import Line, Role, Span, line
from bucketry.show.tables import Column
from bucketry.show.verdicts import (
    column_title,
    delta_text,
    metric_text,
    percent_text,
    slice_text,
    value_number,
    value_text,
    verdict_span,
    wanted_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bucketry.registry.review.standings import Standing
    from bucketry.schema.documents.datasets import Dataset
    from bucketry.schema.documents.gates import Gate, GateResult, MetricSelection
    from bucketry.schema.judging.comparison import ItemDiff, MetricDiff, VersionDiff
    from bucketry.schema.judging.slice_groups import SliceGroup
    from bucketry.schema.names import Digest

MOST_COMPARED = 4
"""Versions on a screen."""
MOST_NAMES = 4
"""Of metrics under one verdict; how many more there are is said."""
CHOSEN = ">"
"""Before the version whose column is under the cursor."""
UNTOLD = frozenset({"version", "digest"})
"""What a line of a comparison may leave open about its data; a gate that names it is taken to be about the line."""
CARD_SECTION = "CARD SECTION"
_CHANGES: Mapping[ItemChange, tuple[str, Role]] = {
    ItemChange.SAME: ("= same", "dim"),
    ItemChange.ADDED: ("+ added", "good"),
    ItemChange.REMOVED: ("- removed", "bad"),
    ItemChange.CHANGED: ("# changed", "warn"),
}
_GATES: Mapping[bool | None, Span] = {None: Span(""), True: Span("ok", "good"), False: Span("FAILED", "bad")}


@frozen
class ShownComparison:
    """A comparison and, where it was read, what a decision about the newest of its versions but the baseline rests on.

    `newest` is its place in `diff.versions`; it stays the same version when another becomes the baseline. `other` is
    the place of the newest but the baseline in `diff.others`. `aliases` names what serves each of the versions, in
    words. `digest` is by what a review names the comparison.
    """

    diff: VersionDiff
    newest: int
    other: int
    groups: tuple[SliceGroup, ...]
    gates: tuple[tuple[Gate, GateResult], ...] = ()
    standing: Standing | None = None
    aliases: tuple[str, ...] = ()
    digest: Digest | None = None

    @property
    def failed(self) -> tuple[GateResult, ...]:
        """The gates that the newest version does not pass."""
        return tuple(result for _, result in self.gates if not result.passed and not is_unread(result))

    @property
    def unscanned(self) -> tuple[GateResult, ...]:
        """The gates that wait for a look into the files."""
        return tuple(result for _, result in self.gates if is_unread(result))

    @property
    def whole(self) -> tuple[MetricDiff, ...]:
        """The metrics over whole data sets."""
        return tuple(metric for metric in self.diff.metrics if not metric.slice)

    @property
    def labels(self) -> Mapping[Dataset, str]:
        """What the data sets are called here."""
        return dataset_labels(metric.dataset for metric in self.diff.metrics)

    @property
    def names(self) -> list[str]:
        """The versions' titles: with the model where there are several, with its namespace where that tells them."""
        subjects = self.diff.versions
        models = {subject.model for subject in subjects}
        if len(models) == 1:
            return [f"v{subject.version}" for subject in subjects]
        is_told = len({model.name for model in models}) == len(models)
        return [f"{subject.model.name if is_told else subject.model}:{subject.version}" for subject in subjects]

    def gate_of(self, metric: MetricDiff) -> bool | None:
        """Return whether the newest version passes the gates about a metric, None where there are none."""
        if metric.values[self.newest] is None:
            return None
        found = [
            result.passed
            for gate, result in self.gates
            if (selection := selection_of(gate)) is not None and _is_about(selection, metric)
        ]
        return all(found) if found else None


def compared_of(
    diff: VersionDiff,
    newest: int | None = None,
    *,
    gates: tuple[tuple[Gate, GateResult], ...] = (),
    standing: Standing | None = None,
    aliases: tuple[str, ...] = (),
) -> ShownComparison:
    """Return a comparison to be shown; without `newest`, the newest but the baseline, of several models the last."""
    if newest is None:
        newest = newest_place(diff)
    if newest:
        other = newest - 1
    else:  # the newest is the baseline
        other = max(range(len(diff.others)), key=lambda place: diff.others[place].version, default=0)
    # Of a version alone there is no comparison to name.
    digest = diff_digest(diff) if diff.others else diff.baseline.digest
    groups = slice_groups(diff, other) if diff.others else slice_groups(diff)
    return ShownComparison(diff, newest, other, groups, gates, standing, aliases or ("",) * len(diff.versions), digest)


def newest_place(diff: VersionDiff) -> int:
    """Return the place of the newest version but the baseline; of several models the last that was named."""
    if len({subject.model for subject in diff.versions}) > 1:
        return len(diff.versions) - 1
    others = range(1, len(diff.versions))
    return max(others, key=lambda place: diff.versions[place].version, default=0)


def comparison_title(diff: VersionDiff) -> str:
    """Return what is compared with what."""
    return f"{diff.baseline.name} -> {', '.join(subject.name for subject in diff.others)}"


def verdict_counts(compared: ShownComparison) -> str:
    """Return how many metrics got which verdict, slices not counted."""
    return _counted(metric.comparisons[compared.other].verdict for metric in compared.whole if metric.comparisons)


def counted_verdicts(diff: VersionDiff) -> str:
    """Return how many metrics and slices of the newest version got which verdict."""
    return _counted(metric.comparisons[-1].verdict for metric in diff.metrics if metric.comparisons)


def verdict_pieces(diff: VersionDiff) -> list[Span]:
    """Return what became of the metrics over whole data in two versions, by verdict, and how many slices got worse."""
    whole = [(metric.name, metric.comparisons[0]) for metric in diff.metrics if not metric.slice]
    pieces = []
    for verdict in (Verdict.BETTER, Verdict.NOISE, Verdict.WORSE):
        found = [(name, verdict_span(one)) for name, one in whole if one.verdict is verdict]
        said = _named_verdicts(found)
        pieces.append(Span(f"{verdict}: {said}", found[0][1].role) if found else Span(f"{verdict}: none", "dim"))
    moved = [(name, verdict_span(one)) for name, one in whole if one.verdict in {Verdict.HIGHER, Verdict.LOWER}]
    if moved:
        pieces.append(Span(f"not judged: {_named_verdicts(moved)}", "strong"))
    slices = sum(one.comparisons[0].verdict is Verdict.WORSE for one in diff.metrics if one.slice)
    unjudged = sum(one.verdict is Verdict.UNJUDGED for _, one in whole)
    if slices:
        pieces.append(Span(f"{count_of(slices, 'slice')} WORSE", "bad"))
    if unjudged:
        pieces.append(Span(f"? {unjudged} unjudged", "warn"))
    return pieces


def worse_slices(compared: ShownComparison) -> int:
    """Return how many slices got worse, of those that can be judged."""
    slices = [one for group in compared.groups for one in group.slices if one.comparisons]
    return sum(one.comparisons[compared.other].verdict is Verdict.WORSE for one in slices)


def hidden_count(compared: ShownComparison) -> int:
    """Return how many metrics and slices are the same everywhere."""
    return sum(not metric.is_changed for metric in compared.diff.metrics)


def metric_columns(
    compared: ShownComparison, *, chosen: int | None = None, with_slices: bool = False
) -> list[Column[MetricDiff]]:
    """Return the columns of the metrics: one version alone, two with what changed, or more with a verdict each."""
    names = compared.names
    marked = [f"{CHOSEN if place == chosen else ''}{name}" for place, name in enumerate(names)]
    labels = compared.labels
    several = with_slices or len({metric.dataset for metric in compared.whole}) > 1
    pair = len(names) == 2
    wide = min(12, max(7, *map(len, names))) if pair else 7
    data = 8 if with_slices else 13 if len(names) < MOST_COMPARED else 6  # every verdict has to be seen at 80 columns
    name_columns, verdict_columns = (8, 8) if with_slices else (12, 14)
    part = Column[Any]("slice", "SLICE", lambda row: slice_text(row.slice, with_names=True) or NOTHING, 8, 30)
    columns: list[Column[MetricDiff]] = [
        Column("name", "METRIC", metric_text, name_columns, 40),
        *([Column("data", "DATA", lambda row: labels[row.dataset] or NOTHING, data, 30)] if several else []),
        *([part] if with_slices else []),
        Column("want", "WANT", wanted_text, 5, rank=3),
    ]
    for place, name in enumerate(marked):
        title = name if with_slices else column_title(name, wide)
        columns.append(
            Column(f"v{place}", title, lambda row, at=place: value_number(row, at), wide, right=True)  # type: ignore[misc]
        )
        if place and not pair:
            columns.append(
                Column(
                    f"verdict{place}",
                    "VERDICT",
                    lambda row, at=place: verdict_span(row.comparisons[at - 1], with_reason=with_slices),  # type: ignore[misc]
                    8,
                    18,
                )
            )
    if pair:
        columns += [
            Column("delta", "DELTA", lambda row: delta_text(row, 0), 8, right=True),
            Column("relative", "DELTA%", lambda row: percent_text(row.comparisons[0]), 7, right=True, rank=2),
            Column("verdict", "VERDICT", lambda row: verdict_span(row.comparisons[0]), verdict_columns, 20),
        ]
    if compared.gates and any(compared.gate_of(metric) is not None for metric in compared.whole):
        columns.append(Column("gate", "GATE", lambda row: _GATES[compared.gate_of(row)], 6, rank=1))
    return columns


def gap_span(group: SliceGroup, other: int) -> Span:
    """Return what became of the distance from the best slice to the worst, in one of `diff.others`."""
    growth = group.gap_growth(other)
    if growth is None:
        is_known = group.gaps[0] is not None and group.gaps[other + 1] is not None
        return Span("? not the same slices", "warn") if is_known else Span(NOTHING, "dim")
    if not growth:
        return Span("= same", "dim")
    return Span("v WIDER", "bad") if growth > 0 else Span("^ narrower", "good")


def has_small(group: SliceGroup) -> bool:
    """Return whether a group has slices that are too small to count for its gap."""
    return any(map(is_too_small, group.slices))


def item_sections(diff: VersionDiff) -> tuple[tuple[str, tuple[ItemDiff, ...]], ...]:
    """Return everything but the metrics, by title."""
    return (
        ("PARAMETER", diff.parameters),
        ("TRAINING", diff.training),
        ("DATASET", diff.datasets),
        ("FILE", diff.files),
        (CARD_SECTION, diff.sections),
        ("TENSOR", diff.tensors),
    )


def item_columns(compared: ShownComparison, title: str) -> Iterator[Column[ItemDiff]]:
    """Yield the columns of what else differs: of a section of the card only that it does."""
    names = compared.names

    def value(item: ItemDiff, place: int) -> str:
        return value_text(item.values[place]) if item.is_present[place] else NOTHING

    yield Column("name", title, lambda item: item.name, 12, 36)
    if title != CARD_SECTION:
        for place, name in enumerate(names):
            yield Column(f"v{place}", column_title(name, 8), lambda item, at=place: value(item, at), 8, 40)  # type: ignore[misc]
    for place, name in enumerate(names[1:]):
        word = "CHANGE" if len(names) == 2 else column_title(name, 9)
        yield Column(f"change{place}", word, lambda item, at=place: Span(*_CHANGES[item.changes[at]]), 9, rank=1)  # type: ignore[misc]


def assumed_lines(metrics: Sequence[MetricDiff]) -> Iterator[Line]:
    """Yield what the star of a verdict means, where there is one."""
    if any(one.direction_assumed or any(each.assumed for each in one.comparisons) for one in metrics):
        yield line(Span(f"{ASSUMED_MARK} not stated: what is known of such metrics (docs/metrics.md)", "dim"))


def differing_lines(compared: ShownComparison) -> Iterator[Line]:
    """Yield how many metrics the versions measured on different data: another version of it, or other data."""
    metrics = compared.diff.metrics
    measured_on: dict[tuple[str, object, str], list[MetricDiff]] = {}
    for metric in metrics:
        measured_on.setdefault((metric.name, metric.slice, metric.kind), []).append(metric)
    differing = 0
    for found in measured_on.values():
        is_apart = len(found) > 1 and not any(None not in metric.measured for metric in found)
        if is_apart or any(one.reason is Reason.DIFFERENT_DATA for metric in found for one in metric.comparisons):
            differing += len(found)
    if differing:
        which = "all metrics" if differing == len(metrics) else f"{differing:,} of {count_of(len(metrics), 'metric')}"
        yield line(Span(f"! EVALUATION DATA DIFFER for {which}: no verdict for these", "bad"))


def _is_about(selection: MetricSelection, metric: MetricDiff) -> bool:
    """Return whether a gate looks at what a line of a comparison says: the metric, on that data, of that kind."""
    stated = metric.dataset.to_document()
    return (
        selection.metric == metric.name
        and selection.evidence in {None, metric.kind}
        and (selection.every_slice or dict(selection.slice) == dict(metric.slice))
        and all(stated.get(name, text if name in UNTOLD else None) == text for name, text in selection.dataset.items())
    )


def _named_verdicts(found: Sequence[tuple[str, Span]]) -> str:
    """Return metrics with the signs of their verdicts, each once, and the star of an assumption."""
    signs = ((name, said.text[0] + ASSUMED_MARK * said.text.endswith(ASSUMED_MARK)) for name, said in found)
    names = list(dict.fromkeys(f"{displayable(name)} {sign}" for name, sign in signs))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _counted(verdicts: Iterable[Verdict]) -> str:
    counts = Counter(verdicts)
    return ", ".join(f"{counts[verdict]:,} {verdict.value}" for verdict in Verdict if counts[verdict])
