"""`show`: everything about one version, or the recipe to make it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import damaged_document, detail_document
from bucketry.cli.output import page
from bucketry.cli.parameters import REFERENCE
from bucketry.registry.review.trust_marks import trust_mark_of
from bucketry.registry.versions.detail import load_detail
from bucketry.registry.versions.reproduce import recipe, recipe_document
from bucketry.show.version import stated_metric_lines, version_lines

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import Reference


@command("show", example="bucketry show acme/chat@production")
@click.argument("reference", metavar="REF", type=REFERENCE)
@click.option("--reproduce", is_flag=True, help="Print the recipe to train the version again.")
def run(call: Call, reference: Reference, *, reproduce: bool) -> None:
    """Show everything about one version, or the recipe to train it again.

    The state is the present one. With --reproduce, --json has the recipe in addition.
    """
    session = call.open()
    detail = load_detail(session, reference)
    mark = trust_mark_of(session, detail)
    document = detail_document(detail) | {"trust": mark.to_document() if mark else None}
    document |= damaged_document(detail.damaged)
    call.messages.damage([detail.damaged])
    if reproduce:
        call.answer(document | {"recipe": recipe_document(detail.resolved)}, recipe(detail.resolved).splitlines())
    else:
        shown, now = page(), session.clock.now()
        judged = stated_metric_lines(detail, shown)
        call.answer(document, version_lines(detail, now, shown, "utc", trust=mark, judged=judged))
