"""`publish`: makes files a new version of a model."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bucketry.cli.command import command
from bucketry.cli.documents import registered_document
from bucketry.cli.files import read_input
from bucketry.cli.parameters import FILE, MODEL, REFERENCE, FiniteRange, parse_pairs, sign_option
from bucketry.cli.statements import (
    PIPELINE_FIELDS,
    STRICT,
    parse_dataset,
    parse_hyperparameters,
    parse_metrics,
    parse_named,
    read_evidence_files,
)
from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.publishing.publish import PublishRequest, needs_signature, publish
from bucketry.registry.publishing.selection import FileSelection
from bucketry.registry.review.reviewing import ask_for_review
from bucketry.registry.review.signing import open_signer
from bucketry.schema.documents.evidence import Evidence
from bucketry.schema.documents.manifest import RELATIONS, Lineage, Training
from bucketry.schema.names import LARGEST_INTEGER
from bucketry.schema.text import displayable
from bucketry.show.figures import count_of, size_text
from bucketry.transfer.plan import TransferOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.cli.call import Call
    from bucketry.cli.messages import ProgressLine
    from bucketry.jobs.client import PublishResult
    from bucketry.registry.publishing.publish import PreparedPublish
    from bucketry.registry.publishing.registration import RegisteredVersion
    from bucketry.schema.names import ModelName, Reference
    from bucketry.transfer.pace.progress import Progress

MOST_NAMED = 6
UNSIGNED = "nobody can approve it: the policy asks for a signed publish (--sign)"


@frozen
class PublishArguments:
    """Arguments and options as they were given."""

    model: ModelName
    sources: tuple[Path, ...]
    metrics: tuple[Path, ...]
    values: tuple[str, ...]
    evidence: tuple[Path, ...]
    strict: bool
    params: tuple[str, ...]
    datasets: tuple[str, ...]
    card: Path | None
    base: Reference | None
    relation: str | None
    labels: tuple[str, ...]
    notes: str
    idempotency_key: str | None
    experiment: str | None
    run_name: str | None
    pipeline: str | None
    command_line: str | None
    seed: int | None
    framework: str | None
    hardware: str | None
    duration: float | None
    cost: str | None
    request_review: bool
    detach: bool
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    environment: Path | None
    key: str | None


@command(
    "publish",
    example="bucketry publish acme/chat out/ --metrics metrics.json --param lr=3e-4 \\\n"
    "    --dataset name=support-tickets,version=2026-10 --base acme/base:3 --relation finetune\n"
    "bucketry publish acme/chat out/ --exclude 'checkpoint-*/' --environment requirements.txt \\\n"
    "    --command 'python train.py --lr 3e-4'",
)
@click.argument("model", type=MODEL)
@click.argument("sources", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--metrics", multiple=True, type=FILE, metavar="FILE", help='Values, such as {"auc": 0.91}; repeatable.')
@click.option(
    "--metric",
    "values",
    multiple=True,
    metavar="NAME=VALUE[:higher|lower]",
    help="One value, and which way is better; may be repeated.",
)
@click.option(
    "--evidence", multiple=True, type=FILE, metavar="FILE", help="Evaluations, see `evaluate --help`; repeatable."
)
@STRICT
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A hyperparameter; may be repeated.")
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    metavar="name=..,version=..",
    help="Training data (name, version, digest, uri, rows); may be repeated.",
)
@click.option("--card", type=FILE, metavar="FILE", help="The model card.  [default: README.md among the files]")
@click.option("--base", type=REFERENCE, metavar="REF", help="The version that this one was made from.")
@click.option("--relation", type=click.Choice(RELATIONS), help="How it was made from the base.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label; may be repeated.")
@click.option(
    "--notes", default="", show_default=False, metavar="TEXT", help="What is worth knowing about the version."
)
@click.option("--idempotency-key", metavar="KEY", help="Publishing again with this key returns the same version.")
@click.option("--experiment", metavar="TEXT", help="The experiment that it belongs to.")
@click.option("--run", "run_name", metavar="TEXT", help="The training run.")
@click.option("--pipeline", metavar="name=..,run=..,uri=..", help="The pipeline that made it.")
@click.option("--command", "command_line", metavar="TEXT", help="The command that trained it.")
@click.option(
    "--environment",
    type=FILE,
    metavar="FILE",
    help="What it was trained in: pip freeze, pip list as JSON, conda env export, or a lock file.",
)
@click.option("--seed", type=click.IntRange(-LARGEST_INTEGER, LARGEST_INTEGER), metavar="N", help="The random seed.")
@click.option("--framework", metavar="TEXT", help="The framework, such as torch 2.9.")
@click.option("--hardware", metavar="TEXT", help="The hardware, such as 8x H100.")
@click.option("--duration", type=FiniteRange(min=0), metavar="SECONDS", help="How long training took.")
@click.option("--cost", metavar="TEXT", help="What training cost, such as 412 EUR.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out of a folder, as in .gitignore; may be repeated. A folder's .bucketryignore says the same.",
)
@click.option(
    "--include",
    multiple=True,
    metavar="PATTERN",
    help="Take along what is left out by default, or looks like a secret; may be repeated.",
)
@click.option("--request-review", is_flag=True, help="Ask the reviewers to look at it, once it is published.")
@click.option(
    "--detach",
    is_flag=True,
    show_default=False,
    help="Leave it to a worker that outlives this terminal, and print its number for `bucketry transfers`.",
)
@sign_option("Write it after the paths.")
def run(call: Call, **options: Any) -> None:  # noqa: ANN401 - click checks them, `PublishArguments` names them
    """Upload files and register them as a new version of a model.

    A folder's contents keep their paths relative to it, a single file its base name. The git commit of the current
    folder, the run of a CI or scheduler, what it is published from and who publishes are recorded. Bytes that the
    model has already are not uploaded again.

    Left out of folders are .git, .env, caches and the like; what looks like a secret is refused. The snapshots of
    Hugging Face's cache are published with what they link to.
    An index, ONNX graph or GGUF part that names a file which is not among them is refused.
    """
    given = PublishArguments(**options)
    if given.detach and given.key is not None:
        raise UsageError(
            "--detach and --sign exclude each other: the worker has no key to sign with", advice="leave one of them out"
        )
    found, left_out = read_evidence_files(call, (*given.metrics, *given.evidence), strict=given.strict)
    request = _request(given, [item for items in found for item in items])
    if given.detach:
        _detach(call, request, left_out, request_review=given.request_review)
        return
    if given.key is not None:
        request = replace(request, sign=open_signer(given.key or None, ask_passphrase=call.messages.ask_passphrase))
    session = call.open()
    request = replace(request, on_prepared=lambda prepared: _say_prepared(call, prepared))
    with call.messages.progress() as line:
        done = publish(session, request, _watched_by(line))
    files = len(load_manifest(session, done.model, done.manifest).artifacts)
    if given.key is not None and not done.created:
        call.messages.note("it was published before, so nothing was signed now")
    elif given.key is None and done.created and done.lacks_signature:
        call.messages.note(UNSIGNED)  # else only the first reviewer who is refused would notice
    say_same_files(call, done.model, done)
    if given.request_review:
        ask_for_review(session, done.model, done.version)
    call.answer(
        registered_document(done) | {"left_out": left_out},
        [published_line(f"{done.model}:{done.version}", done, files)],
    )


def published_line(name: str, done: RegisteredVersion | PublishResult, files: int) -> str:
    """Return in one line what a publish of `model:version` did."""
    size = size_text(done.size_bytes)
    if not done.created:
        return f"{name} was published with this idempotency key before ({size}, {count_of(files, 'file')})"
    return (
        f"published {name} ({size}, {count_of(files, 'file')}; "
        f"uploaded {size_text(done.uploaded_bytes)}, reused {size_text(done.reused_bytes)})"
    )


def say_same_files(call: Call, model: ModelName, done: RegisteredVersion | PublishResult) -> None:
    """Name the older version whose very files were published again."""
    if done.same_files_as is not None:
        call.messages.note(f"{model}:{done.version} has the very files of {model}:{done.same_files_as}")


def _detach(call: Call, request: PublishRequest, left_out: Sequence[str], *, request_review: bool) -> None:
    from bucketry.jobs.client import submit_publish  # noqa: PLC0415 - most need no worker

    session = call.open()
    is_in_vain = needs_signature(session, request.model)
    told: list[PreparedPublish] = []
    job_id = submit_publish(
        session, call.registry, replace(request, on_prepared=told.append), request_review=request_review
    )
    document: dict[str, object] = {"transfer": job_id, "left_out": list(left_out)}
    for prepared in told:
        _say_prepared(call, prepared)
        document |= {"files_left_out": list(prepared.files_left_out), "not_known": list(prepared.not_known)}
    call.answer(document, [f"transfer {job_id}"])
    if is_in_vain:
        call.messages.note(UNSIGNED)
    call.messages.note(f"it goes on by itself; `bucketry transfers attach {job_id}` shows how far it is")


def _say_prepared(call: Call, prepared: PreparedPublish) -> None:
    """Say in a line what is not published though it was there, and what could not be found out."""
    names = [displayable(name) for name in prepared.files_left_out]
    if names:
        more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
        call.messages.note(f"left out: {', '.join(names[:MOST_NAMED])}{more} (--include takes something along)")
    for note in prepared.not_known:
        call.messages.note(note)


def _watched_by(line: ProgressLine) -> TransferOptions:
    """Let one bar show both, as they run at once: hashing as long as nothing is being sent."""
    hashing, uploading = line.listener("hashing"), line.listener("uploading")
    if hashing is None or uploading is None:
        return TransferOptions()
    is_sending = threading.Event()

    def on_transfer(state: Progress) -> None:
        if state.active or state.done_files == state.total_files:
            is_sending.set()
            uploading(state)
        else:
            is_sending.clear()

    def on_hash(state: Progress) -> None:
        if not is_sending.is_set():
            hashing(state)

    return TransferOptions(on_hash=on_hash, on_transfer=on_transfer)


def _request(given: PublishArguments, evidence: Sequence[Evidence]) -> PublishRequest:
    stated = tuple(parse_metrics(given.values))
    environment: dict[str, object] = {}
    if given.environment is not None:
        from bucketry.registry.publishing.environment_files import read_environment  # noqa: PLC0415 - few publishes have one

        environment = read_environment(read_input(given.environment), what=displayable(str(given.environment)))
    return PublishRequest(
        model=given.model,
        sources=given.sources,
        evidence=[*evidence, *([Evidence("automated", stated)] if stated else [])],
        training=Training(
            hyperparameters=parse_hyperparameters(given.params),
            datasets=tuple(parse_dataset(text) for text in given.datasets),
            duration_seconds=given.duration,
            command=given.command_line,
            environment=environment,
            framework=given.framework,
            hardware=given.hardware,
            seed=given.seed,
            cost=given.cost,
        ),
        lineage=Lineage(
            experiment=given.experiment,
            run=given.run_name,
            pipeline=parse_named(given.pipeline or "", option="--pipeline", allowed=PIPELINE_FIELDS),
        ),
        base=given.base,
        relation=given.relation,
        card=given.card,
        labels=parse_pairs(given.labels, option="--label"),
        notes=given.notes,
        idempotency_key=given.idempotency_key,
        selection=FileSelection(given.include, given.exclude),
        trained_here=False,
    )
