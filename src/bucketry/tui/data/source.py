"""Where the screens get their rows: from the local index, at once, which a refresh brings up to date meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from bucketry.errors import BucketryError, CorruptError, UnavailableError, UnsupportedError, reason_of
from bucketry.frozen import frozen
from bucketry.index.damage import Damage, load_damage, note_damaged_version
from bucketry.index.views import (
    ListedIds,
    ModelLine,
    VersionLine,
    find_model_line,
    list_models_by,
    list_versions_by,
    load_model_lines,
    load_version_lines,
)
from bucketry.show.figures import span_text
from bucketry.show.spans import Span

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Hashable, Sequence

    from bucketry.index.fields import Field
    from bucketry.index.store import Index
    from bucketry.index.views import ListedAlias
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import ModelName
    from bucketry.tui.drawing.table import RowSource

Row = TypeVar("Row")

LIVE_SECONDS = 90.0
"""What was seen in the bucket so recently is called live: three rounds of the refresh, unless it is set otherwise."""


@frozen
class Listing(Generic[Row]):
    """Rows in their order, and how many there are without the filter."""

    rows: RowSource[Row]
    total: int


@frozen
class ListSelection:
    """What of a list is to be shown: the filter as it was typed, and by which column the rows are sorted."""

    filter: str = ""
    order: str = ""
    descending: bool = True

    def filtered_by(self, text: str) -> ListSelection:
        """Return what another filter means, in the same order."""
        return replace(self, filter=text.strip())

    def sorted_by(self, column: str) -> ListSelection:
        """Return the order by a column, the greatest first; by the same one again, the other way round."""
        return replace(self, order=column, descending=column != self.order or not self.descending)


@frozen
class IndexRows(Generic[Row]):
    """Rows of the index, read when they come on the screen; their key is their id in the index."""

    listed: ListedIds
    load: Callable[[Sequence[int]], Sequence[Row]]

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.listed.ids)

    def rows(self, offset: int, limit: int) -> Sequence[Row]:
        """Return at most `limit` rows."""
        return self.load(self.listed.ids[offset : offset + limit])

    def position_of(self, key: Hashable) -> int | None:
        """Return where the row with this id is."""
        try:
            return self.listed.ids.index(key)  # type: ignore[arg-type]
        except (ValueError, TypeError):
            return None


@dataclass(slots=True)
class Freshness:
    """How old what is shown is: `seen_at` is when the bucket was last seen (monotonic), `failure` why it is not now."""

    seen_at: float | None = None
    failure: BucketryError | None = None
    live_seconds: float = LIVE_SECONDS

    @property
    def word(self) -> Literal["LOADING", "LIVE", "STALE", "OFFLINE", "ERROR"]:
        """The state in one word."""
        if self.failure is not None:
            return "OFFLINE" if isinstance(self.failure, UnavailableError) else "ERROR"
        if self.seen_at is None:
            return "LOADING"
        return "LIVE" if time.monotonic() - self.seen_at < self.live_seconds else "STALE"

    def span(self) -> Span:
        """Return what the top line says.

        The age is given in whole minutes, so that it stays true for a minute without a byte being sent.
        """
        word = self.word
        seconds = 0.0 if self.seen_at is None else time.monotonic() - self.seen_at
        age = "" if self.seen_at is None else f" {'<1m' if seconds < 60 else span_text(seconds)}"
        role: dict[str, Literal["good", "warn", "bad", "dim"]] = {"LIVE": "good", "STALE": "warn", "LOADING": "dim"}
        return Span(word + age, role.get(word, "bad"))


class Source:
    """The index of one registry, and how fresh it is. Lists may be asked for in any thread.

    `damage` is what the last refresh found to be damaged, and what was found before in the details of versions.
    """

    def __init__(self, session: Session, index: Index, *, live_seconds: float = LIVE_SECONDS) -> None:
        self.session = session
        self.index = index
        self._edition = index.edition()
        self.damage = Damage()
        at = index.refreshed_at()  # by an earlier run, perhaps; this process counts time by another clock
        age = None if at is None else max(0.0, (session.clock.now() - at).total_seconds())
        self.freshness = Freshness(None if age is None else time.monotonic() - age, live_seconds=live_seconds)

    @property
    def is_filled(self) -> bool:
        """Whether the bucket was ever seen whole."""
        return self.freshness.seen_at is not None

    def models(self, wanted: ListSelection) -> Listing[ModelLine]:
        """Return the models that a filter means."""
        order, descending = wanted.order or "name", wanted.descending and bool(wanted.order)
        listed = list_models_by(self.index, query=wanted.filter, order=order, descending=descending)
        return Listing(IndexRows(listed, lambda ids: load_model_lines(self.index, ids)), listed.total)

    def versions(
        self, model: ModelName, wanted: ListSelection, *, fields: Sequence[Field] = ()
    ) -> Listing[VersionLine]:
        """Return the versions of a model that a filter means, with the metrics and parameters that are shown."""
        order = wanted.order or "version"
        listed = list_versions_by(self.index, model, query=wanted.filter, order=order, descending=wanted.descending)
        return Listing(
            IndexRows(listed, lambda ids: load_version_lines(self.index, model, ids, fields=fields)), listed.total
        )

    def aliases(self, model: ModelName) -> tuple[ListedAlias, ...]:
        """Return the aliases of a model, as the index has them."""
        return listed_aliases(self.index, model)

    def refresh(self, session: Session, cancelled: threading.Event, progress: Callable[[str, int, int], None]) -> bool:
        """Bring the index up to the bucket and return whether it changed: not for the screen's thread.

        Whoever changed it since the last refresh: processes of one user share the index.
        """
        from bucketry.index.refresh import refresh_index  # noqa: PLC0415 - the first picture does not wait for it

        refresh_index(self.index, session, details=False, progress=progress, cancelled=cancelled)
        self.damage = load_damage(self.index)
        before, self._edition = self._edition, self.index.edition()
        return self._edition != before

    def note_damage(self, row: VersionLine, error: BucketryError) -> None:
        """Note that a version cannot be read, so that every list says so; a store that is away is no damage."""
        if isinstance(error, CorruptError | UnsupportedError):
            note_damaged_version(self.index, str(row.model), row.version, reason_of(error))
            self.damage = load_damage(self.index)

    def note_seen(self) -> None:
        """Note that the index is as the bucket now."""
        self.freshness.seen_at = time.monotonic()
        self.freshness.failure = None

    def note_failure(self, failure: BucketryError) -> None:
        """Note that the bucket could not be read; what is here stays."""
        self.freshness.failure = failure


def listed_aliases(index: Index, model: ModelName) -> tuple[ListedAlias, ...]:
    """Return the aliases of a model, as the index has them; none where it has no such model."""
    found = find_model_line(index, model)
    return found.aliases if found is not None else ()
