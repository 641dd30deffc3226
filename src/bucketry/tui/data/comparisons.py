"""What is read to show how versions compare, and which versions are meant."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.resolve import select_row
from bucketry.registry.reading.compare import compare_rows
from bucketry.registry.review.gating import check_version_gates
from bucketry.registry.review.policies import load_policy
from bucketry.registry.review.standings import load_standing
from bucketry.registry.versions.listing import load_trend
from bucketry.schema.documents.states import State
from bucketry.schema.judging.comparison import diff_versions
from bucketry.schema.names import ByVersion, Reference, parse_reference
from bucketry.show.comparison import MOST_COMPARED, ShownComparison, compared_of, newest_place
from bucketry.tui.data.source import listed_aliases
from bucketry.tui.drawing.marks import production_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.index.store import Index
    from bucketry.index.views import VersionLine
    from bucketry.registry.core.session import Session
    from bucketry.schema.judging.trend import Trend
    from bucketry.schema.names import ModelName

FEWEST_COMPARED = 2
TREND_VERSIONS = 24


def read_comparison(
    session: Session, references: Sequence[Reference], *, with_tensors: bool, about: Reference | None = None
) -> ShownComparison:
    """Read versions and compare them with the first; of a single one, what is measured of it.

    What a decision depends on is read of the newest version but the baseline, or of `about`.
    """
    models = list(dict.fromkeys(reference.model for reference in references))
    heads = {model: load_existing_head(session, model) for model in models}
    rows = [(heads[one.model], select_row(session, heads[one.model], one.selector)) for one in references]
    diff = compare_rows(session, rows, with_tensors=with_tensors)
    newest = newest_place(diff) if about is None else references.index(about)
    head, row = rows[newest]
    policy = load_policy(session, head)
    # Without a scan of pickles: it would read whole files.
    results = check_version_gates(session, head, row, alias=None, scan=False)
    standing = load_standing(session, head, row)
    gates = tuple(zip(policy.gates, results, strict=True))
    return compared_of(diff, newest, gates=gates, standing=standing)


def read_trend(session: Session, model: ModelName, metric: str) -> Trend:
    """Read a metric over the newest versions of a model."""
    head = load_existing_head(session, model)
    rows = [row for row in head.rows if row.state is not State.DELETED][-TREND_VERSIONS:]
    return load_trend(session, head, rows, metric)


def with_next_baseline(compared: ShownComparison) -> ShownComparison:
    """Return the comparison with its second version as the baseline, the first at the end; reads nothing."""
    first, *rest = compared.diff.versions
    diff = diff_versions(rest[0], (*rest[1:], first))
    newest = (compared.newest - 1) % len(compared.diff.versions)
    aliases = (*compared.aliases[1:], compared.aliases[0])
    return compared_of(diff, newest, gates=compared.gates, standing=compared.standing, aliases=aliases)


def with_aliases(compared: ShownComparison, index: Index) -> ShownComparison:
    """Return the comparison with what serves each version, as the index has it."""
    named = {subject.model: listed_aliases(index, subject.model) for subject in compared.diff.versions}
    words = tuple(
        " ".join(alias.alias for alias in named[subject.model] if alias.version == subject.version)
        for subject in compared.diff.versions
    )
    return replace(compared, aliases=words)


def marked_references(index: Index, rows: Sequence[VersionLine]) -> tuple[Reference, ...]:
    """Return the versions to compare, the baseline first: what serves production, else the oldest.

    One version is compared with production. Raises `UsageError` for too many, or where nothing serves production.
    """
    if len(rows) > MOST_COMPARED:
        raise UsageError(f"{len(rows)} versions are too many to compare", advice=f"mark up to {MOST_COMPARED}")
    production = production_of(listed_aliases(index, rows[0].model))
    if len(rows) == 1:
        only = rows[0]
        if production is None:
            raise UsageError(f"nothing of {only.model} serves production", advice="mark two versions (space), then =")
        if production.version == only.version:
            raise UsageError(f"v{only.version} is what serves production", advice="mark two versions (space), then =")
        return (Reference(only.model, ByVersion(production.version)), Reference(only.model, ByVersion(only.version)))
    versions = sorted(row.version for row in rows)
    if production is not None and production.version in versions:
        versions.remove(production.version)
        versions.insert(0, production.version)
    return tuple(Reference(rows[0].model, ByVersion(version)) for version in versions)


def typed_references(model: ModelName | None, text: str) -> tuple[Reference, ...]:
    """Return the versions that a user typed, the baseline first: `8 12`, `production 12`, `acme/chat:3 acme/chat:4`.

    A number or an alias alone is one of `model`. Raises `UsageError` for what is neither, or for too many or too few.
    """
    words = text.replace(",", " ").split()
    if not FEWEST_COMPARED <= len(words) <= MOST_COMPARED:
        raise UsageError("name two to four versions, the baseline first", advice="such as :compare chat:3 chat:4")

    def parsed(word: str) -> Reference:
        if model is None or any(mark in word for mark in ":@/"):
            return parse_reference(word)
        number = word.removeprefix("v")
        return parse_reference(f"{model}:{number}" if number.isdecimal() else f"{model}@{word}")

    return tuple(map(parsed, words))
