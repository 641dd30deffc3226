"""How far a pull or a publish is, how fast, file by file, and how it ended; where the two differ, in whose words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.schema.text import displayable
from bucketry.show.figures import (
    bar_text,
    clock_text,
    count_of,
    parse_moment,
    percent_of,
    rate_text,
    share_text,
    size_text,
)
from bucketry.show.spans import Line, Role, Span, cut, cut_left, line, pad, text_width, wrapped
from bucketry.show.tables import Column

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bucketry.jobs.model import Job
    from bucketry.show.figures import Zone
    from bucketry.transfer.pace.progress import ActiveFile, Progress

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
MOST_FILES_BELOW = 8
WIDEST_LABEL_COLUMNS = 40
"""Of the lines below a command."""
ENDED = frozenset({"done", "failed", "cancelled"})
"""The states of a job, as text: the screens know them before anything of a transfer is loaded."""
CHECKED: Mapping[str, str] = {
    "sha256": "verified by SHA-256",
    "fast": "verified by XXH3",
    "sizes_and_times": "already there, sizes and times checked",
}
"""How good what arrived is."""

# In a sentence, and in a cell


def version_name(job: Job) -> str:
    """Return which version a job is about, in a sentence; one that is published has no number before it is there."""
    version = version_of(job)
    return f"{job.order.model}:{version}" if version is not None else f"a new version of {job.order.model}"


def version_title(job: Job) -> str:
    """Return which version a job is about, at the beginning of a line."""
    version = version_of(job)
    return f"{job.order.model} v{version}" if version is not None else f"{job.order.model}, a new version"


def version_of(job: Job) -> int | None:
    """Return the number of the version, None where it has none yet."""
    if job.result is not None:
        return job.result.version
    return None if job.order.kind == "publish" else job.order.version


def size_bytes_of(job: Job) -> int | None:
    """Return how much it is, None where that is not known yet."""
    if job.result is not None:
        return job.result.size_bytes
    if job.order.kind == "publish":
        return job.order.size_bytes
    return None if job.progress is None else job.progress.total_bytes


def place_name(job: Job) -> str:
    """Return where the bytes of a job go."""
    if job.order.kind == "publish":
        return f"{job.order.registry} (upload)"
    result = job.result
    return str(job.order.dest or (result.path if result is not None and result.kind == "pull" else "the cache"))


def outcome_span(job: Job) -> Span:
    """Return how a job ended."""
    result = job.result
    if result is not None:
        rate = f" ({rate_text(result.moved_bytes / result.seconds)})" if result.seconds > 0 else ""
        if result.kind == "pull":
            end = CHECKED[result.verify] + (", but it was REFUSED" if result.refused else "")
        else:
            end = "published" if result.created else "was published before"
        return Span(f"{size_text(result.size_bytes)} in {clock_text(result.seconds)}{rate}  {end}")
    if job.failure is not None:
        return Span(f"FAILED: {job.failure.message}", "bad")
    kept = "what it had fetched is removed" if job.order.kind == "pull" else "what it had sent is kept for a week"
    return Span(f"cancelled, {kept}", "dim")


def _share(job: Job) -> str:
    if job.state == "done":
        return "100%"
    if job.progress is None or not job.progress.total_bytes:
        return ""
    return f"{percent_of(job.progress.done_bytes, job.progress.total_bytes)}%"


def _what(job: Job) -> Span:
    if job.state in ENDED:
        return outcome_span(job)
    if job.state == "running" and job.progress is not None:
        return Span(f"{rate_text(job.progress.bytes_per_second)}, {_eta(job.progress)}")
    return Span(_resumes(job))


def _eta(progress: Progress) -> str:
    return f"ETA {clock_text(progress.eta_seconds)}" if progress.eta_seconds is not None else "ETA unknown"


def _amounts(progress: Progress) -> str:
    done, total = size_text(max(0, progress.done_bytes)), size_text(progress.total_bytes)
    number, _, unit = done.partition(" ")
    return f"{number if unit == total.partition(' ')[2] else done} of {total}"


def _resumes(job: Job) -> str:
    """Return where a job that stands still will go on, empty where that says nothing."""
    if job.order.kind == "pull" or job.progress is None or not job.order.chunks:
        return ""
    if not job.progress.verified_chunks:
        return ""
    return f"resumes at part {min(job.progress.verified_chunks + 1, job.order.chunks)} of {job.order.chunks}"


JOB_COLUMNS: tuple[Column[Job], ...] = (
    Column("id", "ID", lambda job: str(job.id), 2, right=True),
    Column("version", "VERSION", version_name, 8, 60),
    Column("state", "STATE", lambda job: str(job.state), 11),
    Column("done", "DONE", _share, 4, right=True),
    Column("size", "SIZE", lambda job: "" if (size := size_bytes_of(job)) is None else size_text(size), 8, right=True),
    Column("to", "TO", place_name, 8, 120),
    Column("what", "WHAT", _what, 8, 240),
)


# Below a command that waits


def progress_lines(doing: str, progress: Progress, *, width: int, height: int) -> list[str]:
    """Return a line of how far a transfer is, and one for each active file as far as `height` lines allow.

    A part that would go beyond `width` columns is left out.
    """
    text, *others = [
        f"{doing} {share_text(progress.done_bytes, progress.total_bytes)}",
        _amounts(progress),
        rate_text(progress.bytes_per_second),
        _eta(progress) if progress.eta_seconds is not None else "",
        f"{progress.done_files:,}/{count_of(progress.total_files, 'file')}",
        count_of(progress.connections, "connection") if progress.connections else "",
        f"retries {progress.retries:,}" if progress.retries else "",
    ]
    for part in filter(None, others):
        text += f"  {part}" if len(text) + 2 + len(part) <= width else ""
    lines = [text]
    if len(progress.active) > 1:
        for file in progress.active[: max(0, min(MOST_FILES_BELOW, height - 1))]:
            label = cut_left(displayable(" ".join(file.label.split())), WIDEST_LABEL_COLUMNS, ellipsis="…")
            amounts = f"{share_text(file.done_bytes, file.size_bytes)}  {size_text(file.size_bytes)}"
            lines.append(f"  {amounts}  {rate_text(file.bytes_per_second)}  {label}")
    return [cut(each, width, ellipsis="") for each in lines]


# In a block of lines


def block_lines(job: Job, width: int, *, ahead: int, is_open: bool, zone: Zone) -> list[Line]:
    """Return what is said of a job that has not ended, `ahead` others of which go first; the first line is its title.

    With `is_open` all files that move are there, and what was ordered.
    """
    lines = [_title_line(job, width)]
    match str(job.state):
        case "queued":
            behind = f"queued behind {count_of(ahead, 'transfer')}" if ahead else "queued, begins now"
            lines.append(line("   ", Span(behind, "dim")))
        case "paused":
            lines += [*_bar_lines(job, width), _standing_line(job, Span("paused", "warn"))]
        case "interrupted":
            said = Span("interrupted: the worker has gone", "bad")
            lines += [*_bar_lines(job, width), _standing_line(job, said)]
        case _:
            lines += [*_bar_lines(job, width), *_running_lines(job, width, is_open=is_open)]
    return lines + (_order_lines(job, width, zone) if is_open else [])


def ended_lines(job: Job, width: int, *, is_open: bool, zone: Zone) -> list[Line]:
    """Return what is said of a job that has ended, on one line; with `is_open` all there is to say."""
    at, name, said = _clock(job.ended_at, zone), displayable(version_title(job)), outcome_span(job)
    lines = [line(Span(f" {at} ", "dim"), Span(name, "strong"), "  ", said)]
    if job.failure is not None:
        fits = text_width(displayable(f" {at} {name}  {said.text}")) <= width
        told = (
            [] if fits and not is_open else [job.failure.advice] if fits else [job.failure.message, job.failure.advice]
        )
        lines += [line("   ", *shown) for text in filter(None, told) for shown in wrapped(text, width - 4, role="bad")]
        lines.append(line(Span("   r tries it again", "dim")))
    return lines + (_order_lines(job, width, zone) if is_open else [])


def _title_line(job: Job, width: int) -> Line:
    """Return what goes where, and how much it is, in columns, as far as that is known."""
    size_bytes, files, figures = size_bytes_of(job), 0, ""
    if job.order.kind == "publish":
        files = job.order.files
    elif job.progress is not None:
        files = job.progress.total_files
    if size_bytes is not None and (files or job.result is not None or job.order.kind == "publish"):
        figures = f"{size_text(size_bytes):>8}" + (f"   {count_of(files, 'file'):>9}" if files else "")
    name = version_title(job)
    room = max(8, width - 2 - text_width(name) - 4 - text_width(figures) - 2)
    place = cut_left(displayable(place_name(job)), room)
    return line(" ", Span(name, "title"), " -> ", pad(place, room), "  ", figures)


def _standing_line(job: Job, said: Span) -> Line:
    place = _resumes(job)
    return line("   ", said, f"   {place}" if place else "", Span("   p lets it go on", "dim"))


def _bar_lines(job: Job, width: int) -> list[Line]:
    progress = job.progress
    if progress is None:
        begins = "looking at what is there already ..." if job.order.kind == "pull" else "looking at the files ..."
        return [line(Span(f"   {begins}", "dim"))] if job.state == "running" else []
    told = f"  {percent_of(progress.done_bytes, progress.total_bytes):>3}%   {_amounts(progress)}"
    columns = max(LEAST_BAR_COLUMNS, min(WIDEST_BAR_COLUMNS, width - 2 - text_width(told)))
    return [line(" ", Span(bar_text(progress.done_bytes, progress.total_bytes, columns), "accent"), told)]


def _running_lines(job: Job, width: int, *, is_open: bool) -> list[Line]:
    progress = job.progress
    if progress is None:
        return []
    before, counted, hashed = "", f"chunks ok {progress.verified_chunks}", progress.hashed_bytes
    if job.order.kind == "publish":
        before = f"hashed {size_text(hashed)}" if hashed is not None and hashed < progress.total_bytes else ""
        counted = f"part {progress.verified_chunks} of {job.order.chunks}"
    limit = job.order.options.limit_bytes_per_second
    parts = [
        f"{rate_text(progress.bytes_per_second)} (5 s avg)",
        _eta(progress),
        f"limit {rate_text(limit)}" if limit is not None else "",
        before,
        f"{progress.connections} of {job.order.options.connections} requests",
        f"retries {progress.retries}" if progress.retries else "",
        counted,
    ]
    said = ""
    for part in filter(None, parts):  # what comes first matters most; the rest as far as there is room
        longer = f"{said}   {part}" if said else part
        if text_width(longer) <= width - 2:
            said = longer
    return [line(" ", said), *_file_lines(progress, width, is_open=is_open)]


def _file_lines(progress: Progress, width: int, *, is_open: bool) -> Iterator[Line]:
    shown = progress.active if is_open else progress.active[:FEW_FILES]
    bar_columns = FILE_BAR_COLUMNS if width >= NARROW_BELOW_COLUMNS else NARROW_FILE_BAR_COLUMNS
    others = 1 + FILE_SIZE_COLUMNS + 2 + bar_columns + FILE_PERCENT_COLUMNS + FILE_STATE_COLUMNS
    name_columns = max(8, min(WIDEST_NAME_COLUMNS, width - others))
    if shown:
        head = f"{pad('FILE', name_columns)}{'SIZE':>10}  {pad('', bar_columns)}    %  STATE"
        yield line(" ", Span(head, "header"))
    for file in shown:
        yield _file_line(file, progress, name_columns, bar_columns)
    hidden = len(progress.active) - len(shown)
    waiting = max(0, progress.total_files - progress.done_files - len(progress.active))
    rest = [f"{hidden} more" if hidden else "", f"{progress.done_files} done", f"{waiting} waiting" if waiting else ""]
    keys = "   (enter: show all)" if hidden else ""
    yield line(Span(f"   + {', '.join(filter(None, rest))}{keys}", "dim"))


def _file_line(file: ActiveFile, progress: Progress, name_columns: int, bar_columns: int) -> Line:
    name = pad(cut_left(displayable(file.label), name_columns), name_columns)
    state = rate_text(file.bytes_per_second)
    role: Role = "plain"
    if file.is_hashing:
        state = "hashing"
    elif file.done_bytes >= file.size_bytes:
        state = "verifying" if progress.hashed_bytes is None else "completing"
    if file.retries:
        state, role = f"retry {file.retries} {state}", "warn"
    shown = Span(bar_text(file.done_bytes, file.size_bytes, bar_columns), "accent")
    percent = percent_of(file.done_bytes, file.size_bytes)
    return line(f" {name}{size_text(file.size_bytes):>10}  ", shown, f"  {percent:>3}  ", Span(state, role))


def _order_lines(job: Job, width: int, zone: Zone) -> list[Line]:
    """Return what was asked for, and what became of it."""
    result, order, options = job.result, job.order, job.order.options
    if order.kind == "publish":
        said = [f"transfer {job.id}: {', '.join(order.sources)}", f"to {order.model} in {order.registry}"]
        said += [f"sha256:{result.manifest}"] if result is not None else []
    else:
        said = [f"transfer {job.id}: {order.reference} from {order.registry}", f"to {place_name(job)}"]
        said.append(f"sha256:{order.manifest}")
    limit = options.limit_bytes_per_second
    asked, begun, ended = (_clock(at, zone) for at in (job.submitted_at, job.started_at, job.ended_at))
    said += [
        f"asked {asked}, begun {begun}, ended {ended}",
        f"at most {count_of(options.connections, 'request')} at once, "
        + (rate_text(limit) if limit is not None else "no limit of speed"),
    ]
    if result is not None:
        verb = "fetched" if result.kind == "pull" else "sent"
        said.append(f"{verb} {size_text(result.moved_bytes)}, reused {size_text(result.reused_bytes)}")
    return [line("   ", *shown) for text in said for shown in wrapped(text, width - 4, role="dim")]


def _clock(at: str | None, zone: Zone) -> str:
    if at is None:
        return "-"
    moment = parse_moment(at)
    return moment.strftime("%H:%M") if zone == "utc" else moment.astimezone().strftime("%H:%M")
