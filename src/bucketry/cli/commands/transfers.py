"""`transfers`: the pulls and publishes that run apart from any terminal, and how they are steered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import CommandGroup, command
from bucketry.cli.commands.publish import published_line, say_same_files
from bucketry.cli.commands.pull import BYTES_PER_MB, MOST_CONNECTIONS, pulled_line
from bucketry.cli.output import page
from bucketry.cli.parameters import parse_rate
from bucketry.errors import RejectedError, UnavailableError
from bucketry.jobs import client as jobs
from bucketry.jobs.client import Job, JobId, JobResult, JobState, PublishOrder, PublishResult
from bucketry.show.figures import count_of, rate_text
from bucketry.show.tables import table_lines
from bucketry.show.transfers import JOB_COLUMNS, size_bytes_of, version_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.cli.call import Call
    from bucketry.cli.messages import ProgressLine
    from bucketry.jobs.client import Progress

HIGHEST_NUMBER = 999_999_999
CANCEL = """Stop a transfer for good.

What a pull had fetched is removed. What a publish had sent stays for a week, as where it is interrupted: to retry it,
or to publish the same bytes again, goes on from there.
"""
NUMBER = click.argument("job", metavar="ID", type=click.IntRange(1, HIGHEST_NUMBER))


@command("list", example="bucketry transfers list --json")
def list_all(call: Call) -> None:
    """List the transfers: those that run, wait or stand still, and the last that ended."""
    _list(call)


@command("attach", example="bucketry transfers attach 3")
@NUMBER
def attach(call: Call, job: int) -> None:
    """Show a transfer until it has ended, as `pull` and `publish` do. Ctrl-C detaches: the transfer goes on."""
    last: Job | None = None
    is_told = False
    try:
        with call.messages.progress() as line:
            for last in jobs.follow(JobId(job)):
                if last.state is JobState.QUEUED and not is_told:
                    call.messages.note(f"transfer {job} waits for others to end")
                    is_told = True
                if last.progress is not None:
                    _show(line, last.progress)
                if last.state is JobState.PAUSED:
                    break
    except KeyboardInterrupt:
        call.messages.note(f"detached; transfer {job} goes on")
        last = jobs.load_job(JobId(job))
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
    told = "has no limit" if bytes_per_second is None else f"takes at most {rate_text(bytes_per_second)}"
    call.answer(_document(limited), [f"transfer {job} {told}"])


@command("connections", example="bucketry transfers connections 3 32")
@NUMBER
@click.argument("count", metavar="N", type=click.IntRange(1, MOST_CONNECTIONS))
def connections(call: Call, job: int, count: int) -> None:
    """Let a transfer have so many requests under way at most, from now on."""
    allowed = jobs.set_connections(JobId(job), count)
    call.answer(_document(allowed), [f"transfer {job} has {count_of(count, 'connection')} at most"])


def _list(call: Call) -> None:
    known, worker_pid = jobs.list_jobs(), jobs.find_worker()
    lines = table_lines(JOB_COLUMNS, known, page()) if known else ["no transfers"]
    document = {"worker_pid": worker_pid, "transfers": [_document(job) for job in known]}
    call.answer(document, lines)
    interrupted = [job for job in known if job.state is JobState.INTERRUPTED]
    if interrupted:
        told = count_of(len(interrupted), "transfer")
        call.messages.note(f"no worker runs; `bucketry transfers resume {interrupted[0].id}` lets {told} go on")


def _show(line: ProgressLine, progress: Progress) -> None:
    """Show an upload as `publish` does: hashing as long as nothing is being sent."""
    doing, hashed_bytes = "downloading", progress.hashed_bytes
    if hashed_bytes is not None:
        doing, hashing = "uploading", [file for file in progress.active if file.is_hashing]
        if hashing and len(hashing) == len(progress.active) and progress.done_files < progress.total_files:
            doing, rate = "hashing", sum(file.bytes_per_second for file in hashing)
            progress = replace(progress, done_bytes=hashed_bytes, bytes_per_second=rate, eta_seconds=None)
    if (show := line.listener(doing)) is not None:
        show(progress)


def _tell_end(call: Call, job: Job) -> None:
    """Answer with the end of a job; raise what it failed with."""
    match job.state:
        case JobState.DONE if job.result is not None:
            name = f"{job.order.model}:{job.result.version}"
            if isinstance(job.result, JobResult):
                lines = [pulled_line(name, job.result)]
                if job.result.refused:
                    call.messages.note(f"this is {job.result.refused}")
            else:
                files = job.order.files if isinstance(job.order, PublishOrder) else 0
                lines = [published_line(name, job.result, files)]
                say_same_files(call, job.order.model, job.result)
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
                f"transfer {job.id} was interrupted: no worker runs",
                advice=f"let it go on with `bucketry transfers resume {job.id}`",
            )
    call.answer(_document(job), lines)


def _document(job: Job) -> dict[str, object]:
    order, progress, failure = job.order, job.progress, job.failure
    own: dict[str, object]
    if isinstance(order, PublishOrder):
        sent = job.result if isinstance(job.result, PublishResult) else None
        own = {
            "manifest": sent.manifest if sent else None,
            "sources": list(order.sources),
            "files": order.files,
            "hashed_bytes": progress.hashed_bytes if progress else None,
            "uploaded_bytes": sent.uploaded_bytes if sent else None,
            "created": sent.created if sent else None,
            "same_files_as": sent.same_files_as if sent else None,
        }
    else:
        brought = job.result if isinstance(job.result, JobResult) else None
        own = {
            "reference": order.reference,
            "manifest": brought.manifest if brought else order.manifest,
            "path": str(order.dest) if order.dest else str(brought.path) if brought else None,
            "fetched_bytes": brought.fetched_bytes if brought else None,
            "verify": brought.verify if brought else None,
        }
    return own | {
        "id": job.id,
        "direction": "upload" if isinstance(order, PublishOrder) else "download",
        "state": str(job.state),
        "registry": order.registry,
        "model": str(order.model),
        "version": version_of(job),
        "connections": order.options.connections,
        "limit_bytes_per_second": order.options.limit_bytes_per_second,
        "submitted_at": job.submitted_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "size_bytes": size_bytes_of(job),
        "done_bytes": job.result.size_bytes if job.result else progress.done_bytes if progress else 0,
        "bytes_per_second": progress.bytes_per_second if progress and job.state is JobState.RUNNING else 0,
        "eta_seconds": progress.eta_seconds if progress and job.state is JobState.RUNNING else None,
        "retries": progress.retries if progress else 0,
        "reused_bytes": job.result.reused_bytes if job.result else None,
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
    example="bucketry publish acme/chat out/ --detach\nbucketry transfers\nbucketry transfers attach 1",
    commands=[
        list_all,
        attach,
        _steer("pause", jobs.pause, "Stop a transfer, to be resumed where it was."),
        _steer("resume", jobs.resume, "Let a paused or interrupted transfer go on."),
        _steer("cancel", jobs.cancel, CANCEL),
        _steer("retry", jobs.retry, "Try a transfer again that failed or was cancelled."),
        _steer("verify", jobs.verify_again, "Hash again what a finished pull brought, and mend what is wrong."),
        limit,
        connections,
    ],
    help="Show and steer pulls and publishes that run apart from any terminal.\n\nWithout a command they are listed.",
)
run.invoke_without_command = True
run.callback = _without_command
