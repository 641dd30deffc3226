"""`transfers`: how far are the pulls that run apart from any terminal, and how are they steered?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import CommandGroup, command
from bucketry.cli.commands.pull import BYTES_PER_MB, MOST_CONNECTIONS, pulled_line
from bucketry.cli.figures import clock_time, count_of, human_size
from bucketry.cli.output import width_columns
from bucketry.cli.parameters import parse_rate
from bucketry.cli.tables import Column, table
from bucketry.errors import RejectedError, UnavailableError
from bucketry.registry import jobs
from bucketry.registry.jobs import Job, JobId, JobState

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.cli.call import Call

COLUMNS = (
    Column("ID", number=True),
    Column("VERSION", flexible=True),
    Column("STATE"),
    Column("DONE", number=True),
    Column("SIZE", number=True),
    Column("TO", flexible=True),
    Column("WHAT", flexible=True),
)
HIGHEST_NUMBER = 999_999_999
NUMBER = click.argument("job", metavar="ID", type=click.IntRange(1, HIGHEST_NUMBER))


@command("list", example="bucketry transfers list --json")
def list_all(call: Call) -> None:
    """List the transfers: those that run, wait or stand still, and the last that ended."""
    _list(call)


@command("attach", example="bucketry transfers attach 3")
@NUMBER
def attach(call: Call, job: int) -> None:
    """Show a transfer until it has ended, as `pull` does. Ctrl-C detaches: the transfer goes on."""
    last: Job | None = None
    is_told = False
    try:
        with call.messages.progress() as line:
            show = line.listener("downloading")
            for last in jobs.follow(JobId(job)):
                if last.state is JobState.QUEUED and not is_told:
                    call.messages.note(f"transfer {job} waits for others to end")
                    is_told = True
                if show is not None and last.progress is not None:
                    show(last.progress)
                if last.state is JobState.PAUSED:
                    break
    except KeyboardInterrupt:
        call.messages.note(f"detached; transfer {job} goes on")
        last = jobs.find_job(JobId(job))
        call.answer(_document(last), [])
        return
    if last is not None:
        _tell_end(call, last)


@command("limit", example="bucketry transfers limit 3 200\nbucketry transfers limit 3 none")
@NUMBER
@click.argument("rate", metavar="MB/S")
def limit(call: Call, job: int, rate: str) -> None:
    """Let a transfer take at most so many megabytes a second, from now on; `none` takes the limit away."""
    megabytes = parse_rate(rate)
    bytes_per_second = None if megabytes is None else max(1, int(megabytes * BYTES_PER_MB))
    limited = jobs.set_limit(JobId(job), bytes_per_second)
    told = "has no limit" if bytes_per_second is None else f"takes at most {human_size(bytes_per_second)}/s"
    call.answer(_document(limited), [f"transfer {job} {told}"])


@command("connections", example="bucketry transfers connections 3 32")
@NUMBER
@click.argument("count", metavar="N", type=click.IntRange(1, MOST_CONNECTIONS))
def connections(call: Call, job: int, count: int) -> None:
    """Let a transfer have so many requests under way at most, from now on."""
    allowed = jobs.set_connections(JobId(job), count)
    call.answer(_document(allowed), [f"transfer {job} has {count_of(count, 'connection')} at most"])


def _list(call: Call) -> None:
    known, helper_pid = jobs.list_jobs(), jobs.find_helper()
    lines = table(COLUMNS, [_cells(job) for job in known], width=width_columns()) if known else ["no transfers"]
    document = {"helper_pid": helper_pid, "transfers": [_document(job) for job in known]}
    call.answer(document, lines)
    interrupted = [job for job in known if job.state is JobState.INTERRUPTED]
    if interrupted:
        told = count_of(len(interrupted), "transfer")
        call.messages.note(f"no helper runs; `bucketry transfers resume {interrupted[0].id}` lets {told} go on")


def _tell_end(call: Call, job: Job) -> None:
    """Answer with the end of a job; raise what it failed with."""
    match job.state:
        case JobState.DONE if job.result is not None:
            lines = [pulled_line(f"{job.order.model}:{job.result.version}", job.result)]
        case JobState.FAILED if job.failure is not None:
            raise job.failure.as_error()
        case JobState.CANCELLED:
            raise RejectedError(
                f"transfer {job.id} was cancelled", advice=f"try it again with `bucketry transfers retry {job.id}`"
            )
        case JobState.PAUSED:
            lines = [f"transfer {job.id} is paused; `bucketry transfers resume {job.id}` lets it go on"]
        case _:
            raise UnavailableError(
                f"transfer {job.id} was interrupted: no helper runs",
                advice=f"let it go on with `bucketry transfers resume {job.id}`",
            )
    call.answer(_document(job), lines)


def _cells(job: Job) -> tuple[str, ...]:
    progress, result = job.progress, job.result
    size_bytes = result.size_bytes if result else progress.total_bytes if progress else None
    return (
        str(job.id),
        f"{job.order.model}:{result.version if result else job.order.version}",
        job.state,
        _share(job),
        "" if size_bytes is None else human_size(size_bytes),
        str(job.order.dest or (result.path if result else "the cache")),
        _what(job),
    )


def _share(job: Job) -> str:
    if job.state is JobState.DONE:
        return "100%"
    if job.progress is None or job.progress.total_bytes == 0:
        return ""
    return f"{int(100 * job.progress.done_bytes / job.progress.total_bytes)}%"


def _what(job: Job) -> str:
    if job.failure is not None:
        return job.failure.message
    if job.state is JobState.RUNNING and job.progress is not None:
        rate = f"{human_size(job.progress.bytes_per_second)}/s"
        eta = job.progress.eta_seconds
        return rate if eta is None else f"{rate}, eta {clock_time(eta)}"
    return ""


def _document(job: Job) -> dict[str, object]:
    order, progress, result, failure = job.order, job.progress, job.result, job.failure
    return {
        "id": job.id,
        "state": str(job.state),
        "registry": order.registry,
        "reference": order.reference,
        "model": str(order.model),
        "version": result.version if result else order.version,
        "manifest": result.manifest if result else order.manifest,
        "path": str(order.dest) if order.dest else str(result.path) if result else None,
        "connections": order.options.connections,
        "limit_bytes_per_second": order.options.limit_bytes_per_second,
        "submitted_at": job.submitted_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "size_bytes": result.size_bytes if result else progress.total_bytes if progress else None,
        "done_bytes": result.size_bytes if result else progress.done_bytes if progress else 0,
        "bytes_per_second": progress.bytes_per_second if progress and job.state is JobState.RUNNING else 0,
        "eta_seconds": progress.eta_seconds if progress and job.state is JobState.RUNNING else None,
        "retries": progress.retries if progress else 0,
        "fetched_bytes": result.fetched_bytes if result else None,
        "reused_bytes": result.reused_bytes if result else None,
        "verify": result.verify if result else None,
        "failure": {"kind": failure.kind, "message": failure.message, "advice": failure.advice} if failure else None,
    }


def _steer(name: str, act: Callable[[JobId], Job], text: str) -> click.Command:
    """Return a command that asks one thing of one transfer."""

    def run(call: Call, job: int) -> None:
        turned = act(JobId(job))
        call.answer(_document(turned), [f"transfer {job} is {turned.state}"])

    run.__doc__ = text
    return command(name, example=f"bucketry transfers {name} 3")(NUMBER(run))


@click.pass_context
def _without_command(context: click.Context) -> None:
    """List, where nothing else was asked for."""
    if context.invoked_subcommand is None:
        call: Call = context.find_root().obj
        call.settle()
        _list(call)


run = CommandGroup(
    "transfers",
    example="bucketry pull acme/chat@production /models/chat --detach\nbucketry transfers\nbucketry transfers attach 1",
    commands=[
        list_all,
        attach,
        _steer("pause", jobs.pause, "Stop a transfer, to be resumed where it was."),
        _steer("resume", jobs.resume, "Let a paused or interrupted transfer go on."),
        _steer("cancel", jobs.cancel, "Stop a transfer for good, and remove what it had fetched."),
        _steer("retry", jobs.retry, "Try a transfer again that failed or was cancelled."),
        _steer("verify", jobs.verify_again, "Hash again what a finished transfer brought, and mend what is wrong."),
        limit,
        connections,
    ],
    help="Show and steer the pulls that run apart from any terminal.\n\nWithout a command they are listed.",
)
run.invoke_without_command = True
run.callback = _without_command
