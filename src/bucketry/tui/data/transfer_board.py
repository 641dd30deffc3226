"""The transfers on this machine, as the screens know them.

Where something moves, the journals are read every second. Where nothing does, none is: their folder is looked at
instead, in which every change of a job's state leaves its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from bucketry.frozen import frozen
from bucketry.show.figures import count_of, rate_text
from bucketry.show.spans import Span
from bucketry.show.transfers import version_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.errors import BucketryError
    from bucketry.jobs.client import Job, JobId, JobState
    from bucketry.registry.core.session import Session
    from bucketry.show.spans import Role
    from bucketry.tui.shell.background import Background

Result = TypeVar("Result")

LOOK_SECONDS = 1.0
MOVING = frozenset({"queued", "running"})
"""A paused job changes only when somebody asks for it, and that leaves its time in the folder."""


@frozen
class TransfersSnapshot:
    """What was seen at one look: every job, and which process helps, if one does."""

    jobs: tuple[Job, ...]
    helper_pid: int | None
    changed_at_ns: int

    @property
    def is_moving(self) -> bool:
        """Whether something runs or waits to."""
        return any(job.state in MOVING for job in self.jobs)


class ShowsTransfers(Protocol):
    """A view, as far as the board tells it something."""

    def transfers_changed(self) -> None:
        """Answer to a change of what is known of the transfers."""


class BoardHost(Protocol):
    """What the board needs of the app."""

    background: Background

    @property
    def view(self) -> ShowsTransfers:
        """The view in front."""

    def set_interval(self, interval: float, callback: Callable[[], object]) -> object:
        """Call something again and again."""

    def flash(self, text: str, role: Role = "plain") -> None:
        """Say something until the next key."""

    def fail(self, error: BucketryError) -> None:
        """Say what went wrong."""

    def read(
        self,
        name: str,
        words: tuple[str, ...],
        work: Callable[[Session], Result],
        done: Callable[[Result], None],
        failed: Callable[[BucketryError], None] | None = None,
    ) -> None:
        """Do something behind the keys that changes no registry."""


class TransferBoard:
    """The transfers as they were a second ago at most."""

    def __init__(self, app: BoardHost) -> None:
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
        self._app.background.start("transfers", lambda: _look(before), self._take, self._fail)

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

    def _take(self, looked: TransfersSnapshot) -> None:
        before = {job.id: job.state for job in self.jobs}
        is_same = looked is self.looked and self.fault is None
        self.looked, self.fault = looked, None
        self._end()
        for job in looked.jobs:
            if before.get(job.id) in MOVING and (told := _told_end(job)) is not None:
                self._app.flash(told.text, told.role)
        if not is_same:
            self._app.view.transfers_changed()

    def _fail(self, error: BucketryError) -> None:
        self.fault = error
        self._end()
        self._app.view.transfers_changed()

    def _end(self) -> None:
        self._is_looking = False
        if self._again:
            self._again = False
            self.look(forced=True)


def helper_pid_text(looked: TransfersSnapshot) -> str:
    """Return who helps."""
    return f"helper pid {looked.helper_pid}" if looked.helper_pid is not None else "no helper"


def _look(before: TransfersSnapshot | None) -> TransfersSnapshot:
    """Read the jobs, unless nothing moved and nothing was written since; not for the screen's thread."""
    from bucketry.jobs import client as jobs  # noqa: PLC0415 - the first picture does not wait for it

    changed_at_ns = _changed_at_ns()
    if before is not None and not before.is_moving and before.changed_at_ns == changed_at_ns:
        return before
    if not changed_at_ns:
        return TransfersSnapshot((), None, 0)
    return TransfersSnapshot(jobs.list_jobs(), jobs.find_helper(), changed_at_ns)


def _changed_at_ns() -> int:
    """Return when something was last written about any job, 0 where there never was one."""
    from bucketry.jobs import client as jobs  # noqa: PLC0415 - the first picture does not wait for it

    try:
        return jobs.log_path().parent.stat().st_mtime_ns
    except OSError:
        return 0


def _told_end(job: Job) -> Span | None:
    name = job_name(job)
    state: JobState = job.state
    if state == "done" and job.result is not None:
        result = job.result
        told = f"has arrived at {result.path}" if result.kind == "pull" else f"is published in {job.order.registry}"
        return Span(f"{name} {told}", "good")
    if state == "failed" and job.failure is not None:
        return Span(f"transfer of {name} failed: {job.failure.message} (t shows it)", "bad")
    if state == "interrupted":
        return Span(f"transfer of {name} was interrupted: the helper has gone (t shows it)", "warn")
    return None


def job_name(job: Job) -> str:
    """Return which version a job brings."""
    return version_name(job)


def job_words(verb: str, job_id: JobId, *more: str) -> tuple[str, ...]:
    """Return the command that does the same to a job."""
    return ("transfers", verb, str(job_id), *more)
