"""`diff`: versions beside a baseline, as tables, Markdown, CSV or a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.output import page
from bucketry.cli.parameters import REFERENCE
from bucketry.registry.reading.compare import compare_rows, select_rows
from bucketry.registry.review.trust_marks import trust_marks_of
from bucketry.schema.judging.comparison_document import diff_document
from bucketry.schema.names import parse_reference
from bucketry.show.comparison import compared_of
from bucketry.show.comparison_text import comparison_csv, comparison_lines, comparison_markdown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bucketry.cli.call import Call
    from bucketry.cli.output import Text
    from bucketry.schema.names import ModelName, Reference

DEFAULT_BASELINE = "production"


@command(
    "diff",
    example="bucketry diff acme/chat:3                     # against acme/chat@production\n"
    "bucketry diff acme/chat:2 acme/chat:3 --format markdown\n"
    "bucketry diff acme/chat:3 --against staging --all",
)
@click.argument("references", metavar="REF...", nargs=-1, required=True, type=REFERENCE)
@click.option(
    "--against",
    metavar="ALIAS|REF",
    help="The baseline: an alias of the model, or any version.  [default: the first REF; with one REF, production]",
)
@click.option("--all", "with_unchanged", is_flag=True, help="Show what is the same, too.")
@click.option("--tensors", "with_tensors", is_flag=True, help="Compare tensors, by the headers of safetensors files.")
@click.option(
    "--format", "form", type=click.Choice(("table", "markdown", "csv")), default="table", help="How to print it."
)
def run(
    call: Call,
    references: tuple[Reference, ...],
    against: str | None,
    form: str,
    *,
    with_unchanged: bool,
    with_tensors: bool,
) -> None:
    """Compare versions with a baseline: metrics, parameters, data, files, card sections, tensors.

    A metric is judged where both versions were measured on the same data and the evidence says which way is better;
    where there are confidence intervals, a difference within them is noise.
    """
    if against is not None or len(references) == 1:
        references = (_parse_baseline(references[0].model, against or DEFAULT_BASELINE), *references)
    session = call.open()
    rows = select_rows(session, references)
    diff = compare_rows(session, rows, with_tensors=with_tensors)
    heads = {head.model: head for head, _ in rows}
    marks = trust_marks_of(session, [(subject.model, subject.version) for subject in diff.versions], heads=heads)
    document = diff_document(diff, with_unchanged=with_unchanged) if call.as_json else {}
    trust = [marks[one.name].to_document() if one.name in marks else None for one in diff.versions]
    compared = compared_of(diff)
    lines: Iterable[Text]
    match form:
        case "markdown":
            lines = comparison_markdown(compared, with_unchanged=with_unchanged)
        case "csv":
            lines = comparison_csv(compared, with_unchanged=with_unchanged)
        case _:
            lines = comparison_lines(compared, page(), with_unchanged=with_unchanged)
    call.answer(document | {"trust": trust}, lines)
    for name, mark in marks.items():
        if not mark.is_accepted:
            call.messages.note(f"{name} is {mark.text}")


def _parse_baseline(model: ModelName, text: str) -> Reference:
    """Return the version that `--against` names: an alias or a number of the model, or any reference."""
    if any(mark in text for mark in ":@/"):
        return parse_reference(text)
    return parse_reference(f"{model}:{text}" if text.isdecimal() else f"{model}@{text}")
