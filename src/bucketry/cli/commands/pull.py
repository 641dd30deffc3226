"""`pull`: brings a version here, verified, complete or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bucketry.cli.command import command
from bucketry.cli.documents import pulled_document
from bucketry.cli.parameters import ALLOW_REJECTED, REFERENCE, TRUST, FiniteRange
from bucketry.cli.refusals import note_refusals
from bucketry.registry.reading.pull import PullOptions, pull
from bucketry.registry.reading.pull_bases import PulledFamily, pull_with_bases
from bucketry.show.figures import clock_text, size_text
from bucketry.show.transfers import CHECKED

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.jobs.client import JobResult
    from bucketry.registry.core.session import Session
    from bucketry.registry.reading.pull import PulledVersion
    from bucketry.registry.reading.pull_bases import PulledBase
    from bucketry.schema.names import Reference

BYTES_PER_MB = 1_000_000
MOST_CONNECTIONS = 256
MOST_PROCESSES = 64


@command("pull", example="bucketry pull acme/chat@production /models/chat --exclude '*.bin'")
@click.argument("reference", metavar="REF", type=REFERENCE)
@click.argument("dest", required=False, type=click.Path(path_type=Path, readable=False))
@click.option(
    "--verify",
    type=click.Choice(["sha256", "fast"]),
    default="sha256",
    help="How bytes are checked; fast (XXH3) only where nobody hostile can write. With sha256 given, a version that is "
    "there already is hashed again, where else the sizes and times of its files are enough.",
)
@TRUST
@click.option("--include", multiple=True, metavar="GLOB", help="Only files that match; may be repeated.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No files that match; may be repeated.")
@click.option(
    "--connections",
    type=click.IntRange(1, MOST_CONNECTIONS),
    default=PullOptions().connections,
    metavar="N",
    help="How many requests may run at once; as many do as make it faster.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, MOST_PROCESSES),
    default=1,
    metavar="N",
    help="How many processes fetch; more help only where TLS takes all of one core.",
)
@click.option(
    "--hard-link",
    is_flag=True,
    show_default=False,
    help="Share the files, read-only, with the local cache instead of copying them.",
)
@click.option(
    "--cache",
    is_flag=True,
    show_default=False,
    help="Bring it to the local cache too, and from there to DEST: the pulls of one node then fetch it once.",
)
@click.option(
    "--limit",
    type=FiniteRange(min=0, min_open=True),
    metavar="MB/S",
    help="At most so many megabytes a second.  [default: unlimited]",
)
@click.option(
    "--with-base",
    is_flag=True,
    show_default=False,
    help="Bring what an adapter adapts, too: to DEST-base (DEST-base-2 further up), or to the local cache.",
)
@ALLOW_REJECTED
@click.option(
    "--detach",
    is_flag=True,
    show_default=False,
    help="Leave it to a worker that outlives this terminal, and print its number for `bucketry transfers`.",
)
def run(
    call: Call,
    *,
    reference: Reference,
    dest: Path | None,
    trust: Path | None,
    limit: float | None,
    with_base: bool,
    detach: bool,
    **given: Any,  # noqa: ANN401 - click checks them, `PullOptions` names them
) -> None:
    """Download a version, verified; the target appears complete or not at all.

    An empty DEST counts as absent. Where DEST holds another version that a pull made, or the same with files changed,
    it is replaced at once; with anything else in it, it is left untouched and refused. Without DEST the version goes to
    the local cache. An interrupted pull goes on where it stopped.

    A DEST that cannot be replaced (a mount point, or a folder in one that may not be written) is filled file by file,
    and DEST/.bucketry/receipt.json comes last: there the receipt says that the version is complete. It is absent while
    files change; programs that have an older file open keep that one.

    An alias that names a version which somebody rejected or revoked is refused, with who, when and why (exit 4), also
    where that version is here already; --allow-rejected brings it all the same. By number or digest it comes, with a
    note. A trust file decides for itself.
    """
    # The default says how to check what arrives; only who writes it out asks to read again what is here.
    is_written = click.get_current_context().get_parameter_source("verify") is ParameterSource.COMMANDLINE
    options = PullOptions(
        **given,
        rehash=is_written and given["verify"] == "sha256",
        limit_bytes_per_second=max(1, int(limit * BYTES_PER_MB)) if limit is not None else None,
    )
    if detach:
        _detach(call, reference, dest, options, trust=trust, with_base=with_base)
        return
    session = call.open(serves=True, trust=trust)
    family = _pull(call, session, reference, dest, options, with_base=with_base)
    document = pulled_document(family.pulled)
    if with_base:
        document["bases"] = [_base_document(base) for base in family.bases]
    told = [base.pulled for base in reversed(family.bases)] + [family.pulled]
    call.answer(document, [pulled_line(f"{one.resolved.model}:{one.resolved.version}", one) for one in told])
    if with_base and not family.bases:
        call.messages.note(f"{family.pulled.resolved.model}:{family.pulled.resolved.version} is no adapter: no base")
    for one in told:
        note_refusals(call, session, one.resolved)


def _pull(
    call: Call, session: Session, reference: Reference, dest: Path | None, options: PullOptions, *, with_base: bool
) -> PulledFamily:
    """Download a version, and what it adapts if that is wanted, below a line that says how far it is."""
    waiting = "another process brings the same version to the local cache; waiting for it"
    with call.messages.progress() as line:
        watched = replace(
            options, on_transfer=line.listener("downloading"), on_wait=lambda: call.messages.note(waiting)
        )
        if with_base:
            return pull_with_bases(session, reference, dest, watched)
        return PulledFamily(pull(session, reference, dest, watched), ())


def pulled_line(name: str, pulled: PulledVersion | JobResult) -> str:
    """Return in one line what a pull of `model:version` did."""
    amounts = (
        f"{size_text(pulled.size_bytes)}; fetched {size_text(pulled.fetched_bytes)}, "
        f"reused {size_text(pulled.reused_bytes)}, {CHECKED[pulled.verify]}, {clock_text(pulled.seconds)}"
    )
    return f"pulled {name} to {pulled.path} ({amounts})"


def _detach(
    call: Call, reference: Reference, dest: Path | None, options: PullOptions, *, trust: Path | None, with_base: bool
) -> None:
    from bucketry.jobs.client import submit_pull  # noqa: PLC0415 - most pulls need no worker

    job_id = submit_pull(
        call.registry,
        reference,
        dest,
        options,
        with_base=with_base,
        trust=trust,
        on_refused=lambda text: call.messages.note(f"this is {text}"),
    )
    call.answer({"transfer": job_id}, [f"transfer {job_id}"])
    call.messages.note(f"it goes on by itself; `bucketry transfers attach {job_id}` shows how far it is")


def _base_document(base: PulledBase) -> dict[str, object]:
    shown = ("path", "model", "version", "manifest", "state", "refusals")
    document = pulled_document(base.pulled)
    return {name: document[name] for name in shown} | {"relation": base.relation}
