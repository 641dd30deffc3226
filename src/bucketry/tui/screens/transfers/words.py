"""What is said of a pull, and what of a publish, where the two differ? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.tui.drawing.figures import count_of, short_size

if TYPE_CHECKING:
    from bucketry.jobs.client import Job, JobResult, PublishResult

_CHECKED = {"sha256": "verified by SHA-256", "fast": "verified by XXH3", "sizes_and_times": "was there already"}


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


def place_name(job: Job) -> str:
    """Return where the bytes of a job go."""
    if job.order.kind == "publish":
        return f"{job.order.registry} (upload)"
    return str(job.order.dest or "the cache")


def size_words(job: Job) -> str:
    """Return how much it is, in columns, as far as that is known."""
    progress, result = job.progress, job.result
    if job.order.kind == "publish":
        return f"{short_size(job.order.size_bytes):>8}   {count_of(job.order.files, 'file'):>9}"
    if progress is not None and progress.total_files:
        return f"{short_size(progress.total_bytes):>8}   {count_of(progress.total_files, 'file'):>9}"
    return f"{short_size(result.size_bytes):>8}" if result is not None else ""


def standing_words(job: Job) -> str:
    """Return where a job that stands still will go on, empty where that says nothing."""
    if job.order.kind == "pull" or job.progress is None or not job.order.chunks:
        return ""
    if not job.progress.verified_chunks:
        return ""
    return f"resumes at part {min(job.progress.verified_chunks + 1, job.order.chunks)} of {job.order.chunks}"


def counted_words(job: Job) -> tuple[str, ...]:
    """Return what of a job that runs is counted beside its bytes, what matters most first."""
    progress = job.progress
    if progress is None:
        return ()
    if job.order.kind == "pull":
        return (f"chunks ok {progress.verified_chunks}",)
    hashed = progress.hashed_bytes
    is_hashing = hashed is not None and hashed < progress.total_bytes
    return (
        f"hashed {short_size(hashed or 0)}" if is_hashing else "",
        f"part {progress.verified_chunks} of {job.order.chunks}",
    )


def beginning_words(job: Job) -> str:
    """Return what happens before any byte moves."""
    return "looking at what is there already ..." if job.order.kind == "pull" else "looking at the files ..."


def end_words(result: JobResult | PublishResult) -> str:
    """Return how good the end is."""
    if result.kind == "pull":
        return _CHECKED[result.verify] + (", but it was REFUSED" if result.refused else "")
    return "published" if result.created else "was published before"


def moved_words(result: JobResult | PublishResult) -> str:
    """Return how many bytes moved."""
    verb = "fetched" if result.kind == "pull" else "sent"
    return f"{verb} {short_size(result.moved_bytes)}, reused {short_size(result.reused_bytes)}"


def cancelled_words(job: Job) -> str:
    """Return what a cancellation leaves."""
    if job.order.kind == "pull":
        return "cancelled, what it had fetched is removed"
    return "cancelled, what it had sent is kept for a week"


def ordered_words(job: Job) -> list[str]:
    """Return what was asked for."""
    order, result = job.order, job.result
    if order.kind == "publish":
        manifest = [f"sha256:{result.manifest}"] if result is not None else []
        return [f"transfer {job.id}: {', '.join(order.sources)}", f"to {order.model} in {order.registry}", *manifest]
    path = result.path if result is not None and result.kind == "pull" else order.dest or "the cache"
    return [f"transfer {job.id}: {order.reference} from {order.registry}", f"to {path}", f"sha256:{order.manifest}"]
