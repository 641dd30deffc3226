"""`report`: tells the registry which version this instance serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import deployment_document
from bucketry.cli.parameters import REFERENCE
from bucketry.registry.serving.reporting import report
from bucketry.show.deployments import VERIFIED

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import Reference


@command("report", example="bucketry report acme/chat@production --environment prod-eu --path /models/chat")
@click.argument("reference", metavar="REF", type=REFERENCE)
@click.option("--environment", required=True, metavar="E", help="Where it is served, such as prod-eu.")
@click.option("--instance", metavar="I", help="Which instance serves it.  [default: this host's name]")
@click.option(
    "--path",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where a pull put it.  [default: the local cache]",
)
def run(call: Call, reference: Reference, environment: str, instance: str | None, path: Path | None) -> None:
    """Tell the registry which version this instance serves, and how it was verified here.

    It is taken from the receipt that the pull left. Files that are missing or changed, or another version than REF, end
    with exit code 4. See who serves what with `bucketry deployments`.
    """
    done = report(call.open(), reference, environment=environment, instance=instance, path=path)
    followed = f", as {done.alias} named it at generation {done.generation}" if done.alias else ""
    told = f"{done.place.environment}/{done.place.instance} serves {done.model}:{done.version}{followed}"
    call.answer(deployment_document(done), [f"{told} ({VERIFIED[done.verified]})"])
