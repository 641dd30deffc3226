"""What is read of the versions of a list besides their rows, and when.

How the reviews stand, of the versions on the screen; manifests and evidence, of those on the screen where a column asks
for them, and of all where a filter or the order does. All behind the keys; the rows are there meanwhile.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.index.details import EVERYTHING, count_pending, of_model, of_rows
from bucketry.registry.core.counting import counted
from bucketry.schema.search.query import DetailCondition, MetricIs, parse_query
from bucketry.tui.drawing.marks import failure_words
from bucketry.tui.shell.background import Finished
from bucketry.tui.shell.command_log import LogEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bucketry.schema.names import ModelName
    from bucketry.tui.shell.view import Shell

SHOWN_WHILE_READING = 5
"""While manifests are read, the list is shown anew at most so many times for each hundred percent."""


class DetailLoader:
    """The closer looks of one list; of one model's versions, or of all where `model` is None.

    `edition` is that of the index whose rows the list shows. With another one the list is shown anew where nothing had
    to be read, too: another process of this user has read it.
    """

    def __init__(self, shell: Shell, model: ModelName | None, changed: Callable[[], None]) -> None:
        self.progress = ""
        self.problem = ""
        self.edition = 0
        self._shell = shell
        self._model = model
        self._changed = changed
        self._reading: threading.Event | None = None
        self._shown_part = 0
        self._is_looking = False
        self._next: tuple[tuple[int, ...], bool] | None = None

    def stop(self) -> None:
        """Read nothing more."""
        if self._reading is not None:
            self._reading.set()
            self._reading = None
        self.progress = ""

    def look_at(self, ids: Sequence[int], *, with_details: bool) -> None:
        """Bring what is known of these versions up to date; nothing is asked of the bucket where it is.

        One look is taken at a time; of those that are asked for meanwhile, the last one follows.
        """
        if not ids or self._model is None:
            return
        if self._is_looking:
            follows = self._next is not None and self._next[1]
            self._next = (tuple(ids), with_details or follows)
            return
        self._is_looking = True
        looked, model, shell = tuple(ids), self._model, self._shell
        index = shell.source.index

        def work() -> int:
            from bucketry.index.standings import refresh_standings  # noqa: PLC0415 - not for the first paint

            refresh_standings(index, shell.session, model, looked, shell.closing)
            if with_details and count_pending(index, of_rows(looked)):
                from bucketry.index.refresh import refresh_some_details  # noqa: PLC0415 - few columns need it

                refresh_some_details(index, shell.session, of_rows(looked), cancelled=shell.closing)
            return index.edition()

        def done(found: int) -> None:
            self.problem = ""
            if found != self.edition:
                self._changed()
            self._look_again()

        def failed(error: BucketryError) -> None:
            self._fail(error)
            self._look_again()

        self._shell.background.start(f"closer-{id(self)}", work, done, failed)

    def _look_again(self) -> None:
        self._is_looking = False
        following, self._next = self._next, None
        if following is not None:
            self.look_at(following[0], with_details=following[1])

    def read_all(self) -> None:
        """Read the manifests and evidence of all versions that the list is of, unless that is being done."""
        if self._reading is not None:
            return
        shell = self._shell
        cancelled = self._reading = threading.Event()
        session, count = counted(shell.session)
        index = shell.source.index
        among = of_model(self._model) if self._model is not None else EVERYTHING

        def work() -> int:
            from bucketry.index.refresh import refresh_some_details  # noqa: PLC0415 - few filters need it

            if not count_pending(index, among):
                return 0
            return refresh_some_details(index, session, among, progress=self._tell(cancelled), cancelled=cancelled)

        def done(read: int) -> None:
            self._end(cancelled)
            if count.made:
                shell.log_of_commands.add(LogEntry(session.clock.timestamp(), "(manifests)", count.made, 0.0))
            if read:
                self._changed()

        def failed(error: BucketryError) -> None:
            self._end(cancelled)
            self._fail(error)

        shell.background.start(f"details-{id(self)}", work, done, failed)

    def _tell(self, cancelled: threading.Event) -> Callable[[str, int, int], None]:
        """Return what hands over how far the reading is; called in its thread."""

        def tell(what: str, done: int, total: int) -> None:
            def show() -> None:
                if cancelled.is_set():
                    return
                self.progress = f"reading {what} for this: {done:,} of {total:,}; what fits is shown as it is found"
                part = done * SHOWN_WHILE_READING // max(1, total)
                if part != self._shown_part:
                    self._shown_part = part
                    self._changed()

            if self._shell.closing.is_set():
                cancelled.set()
            self._shell.post_message(Finished(show))

        return tell

    def _end(self, cancelled: threading.Event) -> None:
        if self._reading is cancelled:
            self._reading = None
        self.progress = ""
        self._shown_part = 0

    def _fail(self, error: BucketryError) -> None:
        self.problem = failure_words(error)


def asks_for_details(query: str, known_metrics: Iterable[str] = ()) -> bool:
    """Return whether a filter needs more than rows say: they have the metrics that are known."""
    try:
        parsed = parse_query(query)
    except BucketryError:  # it is being typed
        return False
    known = set(known_metrics)
    asked = [term.condition for term in parsed.terms]
    return any(
        isinstance(condition, DetailCondition)
        and not (isinstance(condition, MetricIs) and not condition.slice and condition.name in known)
        for condition in asked
    )
