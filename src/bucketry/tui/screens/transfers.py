"""The versions on their way to or from this machine: how far each is, and the keys that steer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bucketry.jobs import client as jobs
from bucketry.jobs.model import MAY_CANCEL, MAY_PAUSE, MAY_RETRY, MAY_TUNE, MAY_VERIFY
from bucketry.show.figures import count_of, rate_text
from bucketry.show.spans import Line, Span, line
from bucketry.show.transfers import ENDED, block_lines, ended_lines, version_name
from bucketry.tui.actions.download import why_not_here
from bucketry.tui.drawing.lineview import BlockLines
from bucketry.tui.screens.text import PAGING, TextView
from bucketry.tui.shell.asking import Choice, Question
from bucketry.tui.shell.commands import Command
from bucketry.tui.shell.places import TransfersLogPlace
from bucketry.tui.shell.view import LOADING_WORD_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from bucketry.jobs.client import Job, JobId, JobState
    from bucketry.tui.shell.view import Shell

BYTES_PER_MB = 1_000_000
STANDING = frozenset({"paused", "interrupted"})
_ORDER = {"running": 0, "paused": 0, "interrupted": 0, "queued": 1, "failed": 2}
OUTLIVES = "Transfers keep running if this window or the SSH line closes."


def _steer(
    name: str,
    keys: tuple[str, ...],
    title: str,
    act: Callable[[TransfersView, Job], None],
    may: frozenset[JobState],
) -> Command[TransfersView]:
    """Return a command about the chosen job, where its state is one of `may`; its name is its hint."""

    def run(view: TransfersView, _: str) -> None:
        job = view.current
        if job is not None:
            act(view, job)

    def why_not(view: TransfersView) -> str:
        return why_not_here(view.shell) or view.why_not(may)

    return Command(name, keys, title, run, why_not, name, "Transfers")


class TransfersView(TextView):
    """The transfers of this user on this machine; nothing here needs the bucket."""

    CALLED = "the transfers (t)"
    crumbs = ("transfers",)

    says_transfers = True

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.text: BlockLines = BlockLines(shell.painter)
        self._chosen: JobId | None = None
        self._open: set[JobId] = set()
        self._asked: set[JobId] = set()
        self._blocks: dict[JobId, tuple[int, int]] = {}
        self._is_slow_to_come = False

    @property
    def place(self) -> str:
        """How many move and wait, and who helps."""
        looked = self.shell.transfers.looked
        if looked is None:
            return ""
        states = [str(job.state) for job in looked.jobs]
        active, queued = states.count("running"), states.count("queued")
        worker = f"worker pid {looked.worker_pid}" if looked.worker_pid is not None else "no worker"
        return "  ".join(filter(None, [f"{active} active", f"{queued} queued" if queued else "", worker]))

    @property
    def notice(self) -> Line:
        """A fault, else what nobody need fear."""
        fault = self.shell.transfers.fault
        if fault is not None:
            stays = "; what was seen last stays" if self.shell.transfers.looked is not None else ""
            return line(" ", Span(f"{fault.message}{stays}", "bad"))
        return line(" ", Span(OUTLIVES, "dim")) if self.shell.transfers.jobs else ()

    @property
    def whereabouts(self) -> Hashable:
        """The chosen transfer, and what of the text is in sight."""
        return (self._chosen, self.text.whereabouts)

    @property
    def has_nothing(self) -> bool:
        """Whether there is no transfer."""
        return not self.shell.transfers.jobs

    @property
    def current(self) -> Job | None:
        """The job that the keys mean."""
        return next((job for job in self.shell.transfers.jobs if job.id == self._chosen), None)

    def shown(self) -> None:
        """Show what is known, and look anew."""
        self.set_timer(LOADING_WORD_SECONDS, self._say_loading)
        self.shell.transfers.look(forced=True)
        self.draw()

    def transfers_changed(self) -> None:
        """Show the transfers as they are now."""
        self.draw()

    # What is shown

    def draw(self) -> None:
        """Lay out what is known now."""
        width = self.size.width
        if not self.is_attached or not width:
            return
        ordered = _ordered(self.shell.transfers.jobs)
        if ordered and self._chosen not in {job.id for job in ordered}:
            self._chosen = ordered[0].id
        lines = self._job_lines(ordered, width) if ordered else self._nothing_lines()
        self.text.show(lines, keep_place=True)
        if self._chosen in self._blocks:
            self.text.bring(*self._blocks[self._chosen])
        self.shell.update_frame()

    def _job_lines(self, ordered: Sequence[Job], width: int) -> list[Line]:
        lines: list[Line] = [line()]
        self._blocks, ahead, zone = {}, 0, self.shell.zone
        for place, job in enumerate(ordered):
            is_open, is_over = job.id in self._open, str(job.state) in ENDED
            if is_over and (place == 0 or str(ordered[place - 1].state) not in ENDED):
                lines.append(line(Span(" ENDED", "header")))
            if is_over:
                block = ended_lines(job, width, is_open=is_open, zone=zone)
            else:
                block = block_lines(job, width, ahead=ahead, is_open=is_open, zone=zone)
                ahead += str(job.state) in {"running", "queued"}
            self._blocks[job.id] = (len(lines), len(lines) + len(block))
            first, *rest = block
            sign = Span(">" if job.id == self._chosen else " ", "strong")
            lines += [(sign, Span(first[0].text[1:], first[0].role), *first[1:]), *rest]
            if not is_over:
                lines.append(line())
        return lines

    def _nothing_lines(self) -> list[Line]:
        board = self.shell.transfers
        self._blocks = {}
        if board.fault is not None:
            return [line(), line("  ", Span(board.fault.message, "bad")), line("  ", board.fault.advice)]
        if board.looked is None:
            return [line(), line(Span("  Looking at the transfers ...", "dim"))] if self._is_slow_to_come else []
        detached = self.shell.command_line("pull", "REF", "FOLDER", "--detach")
        return [
            line(),
            line("  No transfers on this machine."),
            line("  d on a version gets it; ", Span(detached, "accent"), " does the same."),
            line("  h goes back."),
        ]

    def _say_loading(self) -> None:
        self._is_slow_to_come = True
        if self.shell.transfers.looked is None:
            self.draw()

    # What can be done

    def why_not(self, may: frozenset[JobState]) -> str:
        """Return why nothing is done to the chosen transfer, whose state is to be one of these; or ""."""
        job = self.current
        if job is None:
            return "there is no transfer"
        if job.id in self._asked:
            return "the worker has not yet answered the last key"
        if may is MAY_VERIFY and job.order.kind == "publish":
            return "what a publish sent was verified as it was sent"
        return "" if job.state in may else f"this transfer is {job.state}"

    def _why_no_job(self) -> str:
        return "" if self.current is not None else "there is no transfer"

    def move(self, step: int) -> None:
        """Choose the next transfer, or the one before."""
        ids = list(self._blocks)
        if self._chosen in ids:
            self._chosen = ids[max(0, min(ids.index(self._chosen) + step, len(ids) - 1))]
            self.draw()

    def _toggle(self, _: str) -> None:
        if self._chosen is not None:
            self._open ^= {self._chosen}
            self.draw()

    def _ask(self, job: Job, verb: str, act: Callable[[JobId], Job], said: str, *more: str) -> None:
        """Ask the worker for something; `said` follows the job's name in what is then said, `more` on the command line.

        No other key reaches this job before the answer: they keep their order.
        """
        self._asked.add(job.id)
        self.shell.transfers.steer(
            ("transfers", verb, str(job.id), *more),
            lambda: act(job.id),
            lambda _: self.shell.flash(f"{version_name(job)}{said}"),
            ended=lambda: self._asked.discard(job.id),
        )

    def _pause_or_resume(self, job: Job) -> None:
        if str(job.state) in STANDING:
            self._ask(job, "resume", jobs.resume, " goes on")
        else:
            self._ask(job, "pause", jobs.pause, " is paused; p lets it go on")

    def _ask_cancel(self, job: Job) -> None:
        name = version_name(job)
        kept = "remove what it fetched" if job.order.kind == "pull" else "keep what it sent for a week"
        self.shell.choose(
            Choice(
                f"cancel {name} and {kept}",
                {
                    "y": ("yes", lambda: self._ask(job, "cancel", jobs.cancel, " is cancelled")),
                    "n": ("no", lambda: self.shell.flash(f"{name} was not cancelled")),
                },
            )
        )

    def tune(self, job: Job, factor: float) -> None:
        """Have the worker make so many times as many requests at once."""
        now = job.order.options.connections
        wanted = max(1, min(jobs.MOST_CONNECTIONS, int(now * factor)))
        if wanted == now:
            self.shell.flash(f"{count_of(now, 'request')} at once is as far as it goes", "warn")
            return
        self._ask(
            job,
            "connections",
            lambda number: jobs.set_connections(number, wanted),
            f": at most {count_of(wanted, 'request')} at once",
            str(wanted),
        )

    def _ask_limit(self, job: Job) -> None:
        now = job.order.options.limit_bytes_per_second

        def answer(text: str) -> None:
            wanted = parse_limit(text)
            told = "none" if wanted is None else f"{wanted / BYTES_PER_MB:g}"
            said = "no limit" if wanted is None else f"at most {rate_text(wanted)}"
            self._ask(job, "limit", lambda number: jobs.set_limit(number, wanted), f": {said}", told)

        self.shell.ask(
            Question(
                f"limit {version_name(job)} to MB/s (none: no limit):",
                answer,
                initial="" if now is None else f"{now / BYTES_PER_MB:g}",
                why_not=lambda text: "" if parse_limit(text) != 0 else "a number above 0, or none",
            )
        )

    def _yank(self, _: str) -> None:
        job = self.current
        if job is None:
            return
        if job.order.kind == "publish":
            self.shell.copy("\n".join(job.order.sources))
            return
        path = job.result.path if job.result is not None and job.result.kind == "pull" else job.order.dest
        if path is None:
            self.shell.flash("it goes to the cache; where, is known when it has arrived", "warn")
        else:
            self.shell.copy(str(path))

    COMMANDS: ClassVar[tuple[Command[TransfersView], ...]] = (
        _steer("pause", ("p",), "Pause, or let it go on", _pause_or_resume, MAY_PAUSE | {jobs.JobState.INTERRUPTED}),
        _steer("cancel", ("c",), "Cancel, and remove what was fetched", _ask_cancel, MAY_CANCEL),
        _steer("limit", ("L",), "Limit the speed, in MB/s", _ask_limit, MAY_TUNE),
        _steer(
            "verify",
            ("V",),
            "Verify again what arrived",
            lambda self, job: self._ask(
                job, "verify", jobs.verify_again, " is hashed again; what is wrong is fetched anew"
            ),
            MAY_VERIFY,
        ),
        _steer(
            "retry",
            ("r",),
            "Try again what failed",
            lambda self, job: self._ask(job, "retry", jobs.retry, " is tried again"),
            MAY_RETRY - MAY_PAUSE,
        ),
        Command("open", ("enter", "l", "right"), "All files, and the order", _toggle, _why_no_job, "files", "Read"),
        Command(
            "worker-log",
            ("o",),
            "Show what the worker did",
            lambda view, _: view.shell.go(TransfersLogPlace()),
            hint="log",
            group="Read",
        ),
        Command("yank", ("y",), "Copy the path", _yank, _why_no_job, "copy path", "Read"),
        _steer("more", ("+",), "Twice as many requests at once", lambda view, job: view.tune(job, 2.0), MAY_TUNE),
        _steer("fewer", ("-",), "Half as many requests at once", lambda view, job: view.tune(job, 0.5), MAY_TUNE),
        Command("down", ("j", "down"), "Next transfer", lambda view, _: view.move(1), group="Move"),
        Command("up", ("k", "up"), "Transfer before", lambda view, _: view.move(-1), group="Move"),
        Command("top", ("g", "home"), "First transfer", lambda self, _: self.move(-len(self._blocks)), group="Move"),
        Command("bottom", ("G", "end"), "Last transfer", lambda self, _: self.move(len(self._blocks)), group="Move"),
        *PAGING,
    )


def parse_limit(text: str) -> int | None:
    """Return the bytes a second of `200` or `12.5` megabytes, None for no limit, 0 for what is neither."""
    word = text.strip().lower()
    if word in {"", "none"}:
        return None
    try:
        megabytes = float(word)
    except ValueError:
        return 0
    return max(1, int(megabytes * BYTES_PER_MB)) if 0 < megabytes < float("inf") else 0


def _ordered(known: Sequence[Job]) -> list[Job]:
    """Return what moves, what waits, what failed, and what has ended otherwise, the newest of that first."""
    waits = [job for job in known if str(job.state) in _ORDER]
    ended = [job for job in known if str(job.state) not in _ORDER]
    return [
        *sorted(waits, key=lambda job: (_ORDER[str(job.state)], job.id)),
        *sorted(ended, key=lambda job: (job.ended_at or "", job.id), reverse=True),
    ]
