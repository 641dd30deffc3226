"""How does a transfer read on the screen: how far it is, how fast, and file by file? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from bucketry.schema.text import displayable
from bucketry.tui.drawing.figures import count_of, parse_moment, short_size
from bucketry.tui.drawing.paint import Line, Span, cut, line, pad
from bucketry.tui.drawing.text_lines import wrapped
from bucketry.tui.screens.transfers.words import (
    beginning_words,
    cancelled_words,
    counted_words,
    end_words,
    moved_words,
    ordered_words,
    place_name,
    size_words,
    standing_words,
    version_title,
)

if TYPE_CHECKING:
    from bucketry.jobs.client import ActiveFile, Job, Progress
    from bucketry.tui.drawing.figures import Zone

FEW_FILES = 4
FILE_BAR_COLUMNS = 20
NARROW_FILE_BAR_COLUMNS = 10
NARROW_BELOW_COLUMNS = 76
FILE_SIZE_COLUMNS = 10
FILE_PERCENT_COLUMNS = 7
FILE_STATE_COLUMNS = 16
LEAST_BAR_COLUMNS = 10
WIDEST_BAR_COLUMNS = 100
WIDEST_NAME_COLUMNS = 60
ENDED = frozenset({"done", "failed", "cancelled"})


def block_lines(job: Job, width: int, *, ahead: int, is_open: bool, zone: Zone) -> list[Line]:
    """Return what is said of a job that has not ended, `ahead` others of which go first; the first line is its title.

    With `is_open` all files that move are there, and what was ordered.
    """
    title = _title(job, width)
    match str(job.state):
        case "queued":
            behind = f"queued behind {count_of(ahead, 'transfer')}" if ahead else "queued, begins now"
            lines = [title, line("   ", Span(behind, "dim"))]
        case "paused":
            lines = [title, *_bar_lines(job, width), _standing_line(job, Span("paused", "warn"))]
        case "interrupted":
            said = Span("interrupted: the helper has gone", "bad")
            lines = [title, *_bar_lines(job, width), _standing_line(job, said)]
        case _:
            lines = [title, *_bar_lines(job, width), *_running_lines(job, width, is_open=is_open)]
    return lines + (_order_lines(job, width, zone) if is_open else [])


def ended_lines(job: Job, width: int, *, is_open: bool, zone: Zone) -> list[Line]:
    """Return what is said of a job that has ended, on one line; with `is_open` all there is to say."""
    at = _clock(job.ended_at, zone)
    name = displayable(version_title(job))
    result = job.result
    if result is not None:
        rate = f" ({short_rate(result.moved_bytes / result.seconds)})" if result.seconds > 0 else ""
        said = Span(f"{short_size(result.size_bytes)} in {span_clock(result.seconds)}{rate}  {end_words(result)}")
    elif job.failure is not None:
        said = Span(f"FAILED: {job.failure.message}", "bad")
    else:
        said = Span(cancelled_words(job), "dim")
    lines = [line(Span(f" {at} ", "dim"), Span(name, "strong"), "  ", said)]
    if job.failure is not None:
        fits = cell_len(displayable(f" {at} {name}  {said.text}")) <= width
        told = (
            [] if fits and not is_open else [job.failure.advice] if fits else [job.failure.message, job.failure.advice]
        )
        lines += [line("   ", *shown) for text in filter(None, told) for shown in wrapped(text, width - 4, role="bad")]
        lines.append(line(Span("   r tries it again", "dim")))
    return lines + (_order_lines(job, width, zone) if is_open else [])


def short_rate(bytes_per_second: float) -> str:
    """Return a rate in at most 8 columns: `812 MB/s`, `95.2 MB/s`."""
    number, _, unit = short_size(bytes_per_second).partition(" ")
    return f"{float(number):.0f} {unit}/s" if len(number) > len("99.9") else f"{number} {unit}/s"


def span_clock(seconds: float) -> str:
    """Return a span as `0:47`, `12:34` or `3:20:00`; below ten seconds as `2.4 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def bar(done: int, total: int, columns: int) -> str:
    """Return a bar of so many columns with its brackets; full only when all is done."""
    inner = max(1, columns - 2)
    full = inner if total <= 0 or done >= total else min(inner - 1, max(0, done) * inner // total)
    return f"[{'#' * full}{'-' * (inner - full)}]"


def _title(job: Job, width: int) -> Line:
    figures, name = size_words(job), version_title(job)
    room = max(8, width - 2 - cell_len(name) - 4 - cell_len(figures) - 2)
    place = cut_left(displayable(place_name(job)), room)
    return line(" ", Span(name, "title"), " -> ", pad(place, room), "  ", figures)


def _standing_line(job: Job, said: Span) -> Line:
    place = standing_words(job)
    return line("   ", said, f"   {place}" if place else "", Span("   p lets it go on", "dim"))


def _bar_lines(job: Job, width: int) -> list[Line]:
    progress = job.progress
    if progress is None:
        return [] if str(job.state) != "running" else [line(Span(f"   {beginning_words(job)}", "dim"))]
    told = f"  {_percent(progress.done_bytes, progress.total_bytes):>3}%   {_of(progress)}"
    columns = max(LEAST_BAR_COLUMNS, min(WIDEST_BAR_COLUMNS, width - 2 - cell_len(told)))
    return [line(" ", Span(bar(progress.done_bytes, progress.total_bytes, columns), "accent"), told)]


def _running_lines(job: Job, width: int, *, is_open: bool) -> list[Line]:
    progress = job.progress
    if progress is None:
        return []
    limit = job.order.options.limit_bytes_per_second
    *before, counted = counted_words(job)
    parts = [
        f"{short_rate(progress.bytes_per_second)} (5 s avg)",
        f"ETA {span_clock(progress.eta_seconds)}" if progress.eta_seconds is not None else "ETA unknown",
        f"limit {short_rate(limit)}" if limit is not None else "",
        *before,
        f"{progress.connections} of {job.order.options.connections} requests",
        f"retries {progress.retries}" if progress.retries else "",
        counted,
    ]
    said = ""
    for part in filter(None, parts):  # what comes first matters most; the rest as far as there is room
        longer = f"{said}   {part}" if said else part
        if cell_len(longer) <= width - 2:
            said = longer
    return [line(" ", said), *_file_lines(progress, width, is_open=is_open)]


def _file_lines(progress: Progress, width: int, *, is_open: bool) -> list[Line]:
    shown = progress.active if is_open else progress.active[:FEW_FILES]
    bar_columns = FILE_BAR_COLUMNS if width >= NARROW_BELOW_COLUMNS else NARROW_FILE_BAR_COLUMNS
    others = 1 + FILE_SIZE_COLUMNS + 2 + bar_columns + FILE_PERCENT_COLUMNS + FILE_STATE_COLUMNS
    name_columns = max(8, min(WIDEST_NAME_COLUMNS, width - others))
    lines = []
    if shown:
        head = f"{pad('FILE', name_columns)}{'SIZE':>10}  {pad('', bar_columns)}    %  STATE"
        lines.append(line(" ", Span(head, "header")))
    lines += [line(" ", *_file_cells(file, progress, name_columns, bar_columns)) for file in shown]
    hidden = len(progress.active) - len(shown)
    waiting = max(0, progress.total_files - progress.done_files - len(progress.active))
    rest = [f"{hidden} more" if hidden else "", f"{progress.done_files} done", f"{waiting} waiting" if waiting else ""]
    keys = "   (enter: show all)" if hidden else ""
    return [*lines, line(Span(f"   + {', '.join(filter(None, rest))}{keys}", "dim"))]


def _file_cells(file: ActiveFile, progress: Progress, name_columns: int, bar_columns: int) -> Line:
    name = pad(cut_left(displayable(file.label), name_columns), name_columns)
    state, role = short_rate(file.bytes_per_second), "plain"
    if file.is_hashing:
        state = "hashing"
    elif file.done_bytes >= file.size_bytes:
        state = "verifying" if progress.hashed_bytes is None else "completing"
    if file.retries:
        state, role = f"retry {file.retries} {state}", "warn"
    shown = bar(file.done_bytes, file.size_bytes, bar_columns)
    percent = _percent(file.done_bytes, file.size_bytes)
    return line(
        f"{name}{short_size(file.size_bytes):>10}  ", Span(shown, "accent"), f"  {percent:>3}  ", _span(state, role)
    )


def _order_lines(job: Job, width: int, zone: Zone) -> list[Line]:
    """Return what was asked for, and what became of it."""
    result, options = job.result, job.order.options
    limit = options.limit_bytes_per_second
    asked, begun, ended = (_clock(at, zone) for at in (job.submitted_at, job.started_at, job.ended_at))
    said = [
        *ordered_words(job),
        f"asked {asked}, begun {begun}, ended {ended}",
        f"at most {count_of(options.connections, 'request')} at once, "
        + (short_rate(limit) if limit is not None else "no limit of speed"),
    ]
    if result is not None:
        said.append(moved_words(result))
    return [line("   ", *shown) for text in said for shown in wrapped(text, width - 4, role="dim")]


def _span(text: str, role: str) -> Span:
    return Span(text, "warn" if role == "warn" else "plain")


def _of(progress: Progress) -> str:
    """Return `59.6 of 97.7 GB`, with both units where they differ."""
    done, total = short_size(max(0, progress.done_bytes)), short_size(progress.total_bytes)
    number, _, unit = done.partition(" ")
    return f"{number if unit == total.partition(' ')[2] else done} of {total}"


def _percent(done: int, total: int) -> int:
    return 100 if total <= 0 else max(0, min(100, 100 * done // total))


def cut_left(text: str, width: int) -> str:
    """Return the end of a text that is too long: of a path, that is what tells it from others."""
    return text if cell_len(text) <= width else "~" + cut(text[::-1], width, ellipsis="")[::-1].lstrip()[-(width - 1) :]


def _clock(at: str | None, zone: Zone) -> str:
    if at is None:
        return "-"
    moment = parse_moment(at)
    return moment.strftime("%H:%M") if zone == "utc" else moment.astimezone().strftime("%H:%M")
