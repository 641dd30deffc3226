"""`evaluate`: adds evidence to a published version."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.parameters import FILE, REFERENCE
from bucketry.cli.statements import (
    EVIDENCE_DATASET_FIELDS,
    HARNESS_FIELDS,
    STRICT,
    parse_metrics,
    parse_named,
    read_evidence_files,
)
from bucketry.errors import UsageError
from bucketry.interop.evidence.files import keep_apart
from bucketry.registry.core.resolve import resolve_explicit
from bucketry.registry.versions.evaluate import evaluate
from bucketry.schema.documents.evidence import DIRECTIONS, KINDS, Evidence
from bucketry.schema.text import displayable
from bucketry.show.figures import count_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bucketry.cli.call import Call
    from bucketry.registry.versions.evaluate import EvaluatedVersion
    from bucketry.schema.names import Reference


@command(
    "evaluate",
    example="bucketry evaluate acme/chat:3 --evidence results_2026-10-07.json\n"
    "bucketry evaluate acme/chat:3 --evidence toxicity.csv --kind safety \\\n"
    "    --dataset name=red-team,version=4\n"
    "bucketry evaluate acme/chat:3 --metric auc=0.91:higher --dataset name=fraud,version=10\n"
    "bucketry evaluate acme/chat:3 --evidence metrics.json --direction auc=higher",
)
@click.argument("reference", metavar="REF", type=REFERENCE)
@click.option(
    "--evidence",
    "files",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="What was measured; may be repeated.",
)
@click.option(
    "--metric",
    "values",
    multiple=True,
    metavar="NAME=VALUE[:higher|lower]",
    help="One value, and which way is better; may be repeated.",
)
@click.option("--kind", type=click.Choice(KINDS), help="Who or what judged.  [default: what the file says]")
@click.option(
    "--dataset",
    metavar="name=..,config=..,version=..,...",
    help="The data, where the file does not name it (name, config, version, split, task, args, digest).",
)
@click.option("--harness", metavar="name=..,version=..,uri=..", help="What measured, where the file does not name it.")
@click.option(
    "--direction",
    "directions",
    multiple=True,
    metavar="METRIC=higher|lower",
    help="Which way is better, where the file does not say it; may be repeated.",
)
@STRICT
def run(  # noqa: PLR0913 - one for each option
    call: Call,
    reference: Reference,
    *,
    files: tuple[Path, ...],
    values: tuple[str, ...],
    kind: str | None,
    dataset: str | None,
    harness: str | None,
    directions: tuple[str, ...],
    strict: bool,
) -> None:
    """Add evidence to a published version.

    A file may be JSON as {"auc": 0.91} or {"kind": ..., "metrics": [...]}, a CSV with the columns name and value, a
    model card with a model-index, what an evaluation harness wrote, or the folder of an MLflow run; its content tells
    which. A value that cannot be compared is left out by name. What the version has already is not added again.
    """
    given_dataset = parse_named(dataset or "", option="--dataset", allowed=EVIDENCE_DATASET_FIELDS)
    given_harness = parse_named(harness or "", option="--harness", allowed=HARNESS_FIELDS)
    given_directions = _parse_directions(directions)
    found, left_out = read_evidence_files(call, files, strict=strict)
    stated = tuple(parse_metrics(values))
    if stated:
        found.append([Evidence("automated", stated)])
    if not found:
        raise UsageError("there is no evidence to add", advice="give --evidence FILE or --metric auc=0.91:higher")
    evidence: list[Evidence] = []
    for items in found:
        completed = [_completed(item, kind, given_dataset, given_harness, given_directions) for item in items]
        evidence += keep_apart(completed, what="a file")
    measured = {metric.name for item in evidence for metric in item.metrics}
    for name in given_directions:
        if name not in measured:
            raise UsageError(f'--direction: no file has the metric "{displayable(name)}"')
    session = call.open()
    version = resolve_explicit(session, reference).version
    done = evaluate(session, reference.model, version, evidence)
    call.answer(_document(done) | {"left_out": left_out}, [_told(done)])


def _completed(
    evidence: Evidence,
    kind: str | None,
    dataset: Mapping[str, object],
    harness: Mapping[str, object],
    directions: Mapping[str, str],
) -> Evidence:
    """Return the evidence with what the command line adds; raise `UsageError` where the file says otherwise."""
    metrics = []
    for metric in evidence.metrics:
        given = directions.get(metric.name)
        if given and metric.direction not in {None, given}:
            raise UsageError(f'the file says that {metric.direction} is better for "{displayable(metric.name)}"')
        metrics.append(replace(metric, direction=metric.direction or given))
    return replace(
        evidence,
        kind=kind or evidence.kind,
        metrics=tuple(metrics),
        dataset=_joined(evidence.dataset, dataset, "--dataset"),
        harness=_joined(evidence.harness, harness, "--harness"),
    )


def _joined(stated: Mapping[str, object], given: Mapping[str, object], option: str) -> dict[str, object]:
    for name, value in given.items():
        if stated.get(name, value) != value:
            raise UsageError(
                f"{option} says {name}={displayable(str(value))}, but the file {displayable(str(stated[name]))}",
                advice=f"leave {name} out, or correct the file",
            )
    return {**stated, **given}


def _parse_directions(texts: tuple[str, ...]) -> dict[str, str]:
    directions: dict[str, str] = {}
    for text in texts:
        name, _, direction = text.rpartition("=")  # a metric's name may well hold an equals sign
        if not name or direction not in DIRECTIONS or directions.get(name, direction) != direction:
            raise UsageError(
                f'--direction: "{displayable(text)}" is not METRIC=higher or METRIC=lower, or contradicts another',
                advice="write --direction auc=higher",
            )
        directions[name] = direction
    return directions


def _document(done: EvaluatedVersion) -> dict[str, object]:
    return {
        "model": str(done.model),
        "version": done.version,
        "manifest": done.manifest,
        "evidence": [
            {
                "id": item.id,
                "created": item.created,
                "kind": item.evidence.kind,
                "dataset": dict(item.evidence.dataset),
                "metrics": len(item.evidence.metrics),
            }
            for item in done.evaluations
        ],
    }


def _told(done: EvaluatedVersion) -> str:
    new = [item for item in done.evaluations if item.created]
    known = len(done.evaluations) - len(new)
    name = f"{done.model}:{done.version}"
    if not new:
        return f"{name} has this evidence already (what was measured again says when: at)"
    metrics = sum(len(item.evidence.metrics) for item in new)
    said = f"added {count_of(len(new), 'evaluation')} with {count_of(metrics, 'metric')} to {name}"
    return f"{said}; {known:,} were there already" if known else said
