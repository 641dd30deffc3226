"""The versions on their way to or from this machine: how far each is, and the keys that steer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bucketry.jobs import client as jobs
from bucketry.jobs.model import MAY_CANCEL, MAY_PAUSE, MAY_RETRY, MAY_TUNE, MAY_VERIFY
from bucketry.show.figures import count_of, rate_text
from bucketry.show.spans import Line, Span, line
from bucketry.show.transfers import ENDED, block_lines, ended_lines
from bucketry.tui.actions.download import why_not_here
from bucketry.tui.data.transfer_board import helper_pid_text, job_name, job_words
from bucketry.tui.drawing.lineview import BlockLines
from bucketry.tui.shell.commands import Command
from bucketry.tui.shell.places import TransfersLogPlace
from bucketry.tui.shell.prompts import Choice, Question
from bucketry.tui.shell.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from textual.app import ComposeResult
    from textual.widget import Widget

    from bucketry.jobs.client import Job, JobId, JobState
    from bucketry.tui.shell.view import Shell

LOADING_WORD_SECONDS = 0.4
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


class TransfersView(View):
    """The transfers of this user on this machine; nothing here needs the bucket."""

    says_transfers = True

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.text = BlockLines(shell.painter)
        self._chosen: JobId | None = None
        self._open: set[JobId] = set()
        self._asked: set[JobId] = set()
        self._blocks: dict[JobId, tuple[int, int]] = {}
        self._is_slow_to_come = False

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        yield self.text

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Where this is."""
        return ("transfers",)

    @property
    def place(self) -> str:
        """How many move and wait, and who helps."""
        looked = self.shell.transfers.looked
        if looked is None:
            return ""
        states = [str(job.state) for job in looked.jobs]
        active, queued = states.count("running"), states.count("queued")
        parts = [f"{active} active", f"{queued} queued" if queued else "", helper_pid_text(looked)]
        return "  ".join(filter(None, parts))

    @property
    def notice(self) -> Line:
        """A fault, else what nobody need fear."""
        fault = self.shell.transfers.fault
        if fault is not None:
            stays = "; what was seen last stays" if self.shell.transfers.looked is not None else ""
            return line(" ", Span(f"{fault.message}{stays}", "bad"))
        return line(" ", Span(OUTLIVES, "dim")) if self.shell.transfers.jobs else ()

    @property
    def target(self) -> Widget:
        """The text has the keys."""
        return self.text

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
        self._draw()

    def transfers_changed(self) -> None:
        """Show the transfers as they are now."""
        self._draw()

    def data_changed(self) -> None:
        """Draw anew: times may be shown in another zone."""
        self._draw()

    def on_resize(self) -> None:
        """Lay the text out for the new width."""
        self._draw()

    # What is shown

    def _draw(self) -> None:
        width = self.size.width
        if not self.is_attached or not width:
            return
        ordered = _ordered(self.shell.transfers.jobs)
        if ordered and self._chosen not in {job.id for job in ordered}:
            self._chosen = ordered[0].id
        lines = self._job_lines(ordered, width) if ordered else self._nothing_lines()
        self.text.show(lines, keep_place=True)
        self._mark()
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
            self._draw()

    def _mark(self) -> None:
        if self._chosen in self._blocks:
            self.text.bring(*self._blocks[self._chosen])

    # What can be done

    def why_not(self, may: frozenset[JobState]) -> str:
        """Return why nothing is done to the chosen transfer, whose state is to be one of these; or ""."""
        job = self.current
        if job is None:
            return "there is no transfer"
        if job.id in self._asked:
            return "the helper has not yet answered the last key"
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
            self._draw()

    def _toggle(self, _: str) -> None:
        if self._chosen is not None:
            self._open ^= {self._chosen}
            self._draw()

    def _ask(self, job: Job, words: tuple[str, ...], act: Callable[[], Job], said: Callable[[Job], str]) -> None:
        """Ask the helper for something; no other key reaches this job before the answer: they keep their order."""
        self._asked.add(job.id)

        def done(turned: Job) -> None:
            self.shell.flash(said(turned))

        self.shell.transfers.steer(words, act, done, ended=lambda: self._asked.discard(job.id))

    def _pause_or_resume(self, job: Job) -> None:
        name, number = job_name(job), job.id
        if str(job.state) in STANDING:
            self._ask(job, job_words("resume", number), lambda: jobs.resume(number), lambda _: f"{name} goes on")
        else:
            self._ask(
                job,
                job_words("pause", number),
                lambda: jobs.pause(number),
                lambda _: f"{name} is paused; p lets it go on",
            )

    def _ask_cancel(self, job: Job) -> None:
        name, number = job_name(job), job.id
        kept = "remove what it fetched" if job.order.kind == "pull" else "keep what it sent for a week"

        def cancel() -> None:
            self._ask(job, job_words("cancel", number), lambda: jobs.cancel(number), lambda _: f"{name} is cancelled")

        self.shell.choose(
            Choice(
                f"cancel {name} and {kept}",
                {"y": ("yes", cancel), "n": ("no", lambda: self.shell.flash(f"{name} was not cancelled"))},
            )
        )

    def _retry(self, job: Job) -> None:
        name, number = job_name(job), job.id
        self._ask(job, job_words("retry", number), lambda: jobs.retry(number), lambda _: f"{name} is tried again")

    def _verify(self, job: Job) -> None:
        name, number = job_name(job), job.id
        said = f"{name} is hashed again; what is wrong is fetched anew"
        self._ask(job, job_words("verify", number), lambda: jobs.verify_again(number), lambda _: said)

    def tune(self, job: Job, factor: float) -> None:
        """Have the helper make so many times as many requests at once."""
        now, number = job.order.options.connections, job.id
        wanted = max(1, min(jobs.MOST_CONNECTIONS, int(now * factor)))
        if wanted == now:
            self.shell.flash(f"{count_of(now, 'request')} at once is as far as it goes", "warn")
            return
        self._ask(
            job,
            job_words("connections", number, str(wanted)),
            lambda: jobs.set_connections(number, wanted),
            lambda _: f"{job_name(job)}: at most {count_of(wanted, 'request')} at once",
        )

    def _ask_limit(self, job: Job) -> None:
        number, now = job.id, job.order.options.limit_bytes_per_second

        def answer(text: str) -> None:
            wanted = parse_limit(text)
            told = "none" if wanted is None else f"{wanted / BYTES_PER_MB:g}"
            said = "no limit" if wanted is None else f"at most {rate_text(wanted)}"
            self._ask(
                job,
                job_words("limit", number, told),
                lambda: jobs.set_limit(number, wanted),
                lambda _: f"{job_name(job)}: {said}",
            )

        self.shell.ask(
            Question(
                f"limit {job_name(job)} to MB/s (none: no limit):",
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
        _steer("verify", ("V",), "Verify again what arrived", _verify, MAY_VERIFY),
        _steer("retry", ("r",), "Try again what failed", _retry, MAY_RETRY - MAY_PAUSE),
        Command("open", ("enter", "l", "right"), "All files, and the order", _toggle, _why_no_job, "files", "Read"),
        Command(
            "helper-log",
            ("o",),
            "Show what the helper did",
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
        Command(
            "half-down", ("ctrl+d",), "Half a page down", lambda view, _: view.text.scroll_pages(0.5), group="Move"
        ),
        Command("half-up", ("ctrl+u",), "Half a page up", lambda view, _: view.text.scroll_pages(-0.5), group="Move"),
        Command(
            "page-down", ("pagedown", "ctrl+f"), "A page down", lambda view, _: view.text.scroll_pages(1), group="Move"
        ),
        Command("page-up", ("pageup",), "A page up", lambda view, _: view.text.scroll_pages(-1), group="Move"),
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
