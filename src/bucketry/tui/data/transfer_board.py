"""The transfers on this machine, as the screens know them.

Where something moves, the jobs are read every second. Where nothing does, none is: their folder is looked at
instead, in which every change of a job's state leaves its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.show.figures import count_of, rate_text
from bucketry.show.spans import Span
from bucketry.show.transfers import version_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.errors import BucketryError
    from bucketry.jobs.client import Job, JobState
    from bucketry.tui.shell.host import Host

LOOK_SECONDS = 1.0
MOVING = frozenset({"queued", "running"})
"""A paused job changes only when somebody asks for it, and that leaves its time in the folder."""


@frozen
class TransfersSnapshot:
    """What was seen at one look: every job, and which process helps, if one does."""

    jobs: tuple[Job, ...]
    worker_pid: int | None
    changed_at_ns: int

    @property
    def is_moving(self) -> bool:
        """Whether something runs or waits to."""
        return any(job.state in MOVING for job in self.jobs)


class TransferBoard:
    """The transfers as they were a second ago at most."""

    def __init__(self, app: Host) -> None:
        self.looked: TransfersSnapshot | None = None
        self.fault: BucketryError | None = None
        self.last_folder: str | None = None
        """Below which folder something was put last, offered for the next."""
        self._app = app
        self._is_looking = False
        self._again = False

    @property
    def jobs(self) -> Sequence[Job]:
        """Every job, in order of their numbers."""
        return self.looked.jobs if self.looked is not None else ()

    def begin(self) -> None:
        """Look now, and from now on."""
        self._app.set_interval(LOOK_SECONDS, self.look)
        self.look()

    def look(self, *, forced: bool = False) -> None:
        """See what moves, in the background; `forced` also where nothing seems to have changed."""
        if self._is_looking:
            self._again = self._again or forced
            return
        self._is_looking = True
        before = None if forced else self.looked

        def done(looked: TransfersSnapshot) -> None:
            states = {job.id: job.state for job in self.jobs}
            is_same = looked is self.looked and self.fault is None
            self.looked, self.fault = looked, None
            self._end()
            for job in looked.jobs:
                if states.get(job.id) in MOVING and (told := _told_end(job)) is not None:
                    self._app.flash(told.text, told.role)
            if not is_same:
                self._app.view.transfers_changed()

        def failed(error: BucketryError) -> None:
            self.fault = error
            self._end()
            self._app.view.transfers_changed()

        self._app.background.start("transfers", lambda: _look(before), done, failed)

    def steer(
        self, words: tuple[str, ...], act: Callable[[], Job], done: Callable[[Job], None], ended: Callable[[], None]
    ) -> None:
        """Ask for something about a job, behind the keys; `words` are the command that does the same."""

        def took(job: Job) -> None:
            ended()
            self.look(forced=True)
            done(job)

        def failed(error: BucketryError) -> None:
            ended()
            self.look(forced=True)
            self._app.fail(error)

        self._app.read(" ".join(words), words, lambda _: act(), took, failed)

    def span(self) -> Span | None:
        """Return what the top line of every screen says: how much moves, and how fast."""
        running = [job for job in self.jobs if job.state == "running"]
        if not running:
            return None
        rate = sum(job.progress.bytes_per_second for job in running if job.progress is not None)
        return Span(f"{count_of(len(running), 'transfer')} {rate_text(rate)}", "accent")

    def _end(self) -> None:
        self._is_looking = False
        if self._again:
            self._again = False
            self.look(forced=True)


def _look(before: TransfersSnapshot | None) -> TransfersSnapshot:
    """Read the jobs, unless nothing moved and nothing was written since; not for the screen's thread."""
    from bucketry.jobs import client as jobs  # noqa: PLC0415 - the first picture does not wait for it

    try:
        changed_at_ns = jobs.log_path().parent.stat().st_mtime_ns
    except OSError:  # there never was a job
        changed_at_ns = 0
    if before is not None and not before.is_moving and before.changed_at_ns == changed_at_ns:
        return before
    if not changed_at_ns:
        return TransfersSnapshot((), None, 0)
    return TransfersSnapshot(jobs.list_jobs(), jobs.find_worker(), changed_at_ns)


def _told_end(job: Job) -> Span | None:
    name = version_name(job)
    state: JobState = job.state
    if state == "done" and job.result is not None:
        result = job.result
        told = f"has arrived at {result.path}" if result.kind == "pull" else f"is published in {job.order.registry}"
        return Span(f"{name} {told}", "good")
    if state == "failed" and job.failure is not None:
        return Span(f"transfer of {name} failed: {job.failure.message} (t shows it)", "bad")
    if state == "interrupted":
        return Span(f"transfer of {name} was interrupted: the worker has gone (t shows it)", "warn")
    return None
