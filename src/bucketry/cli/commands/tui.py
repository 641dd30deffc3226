"""`tui`: how are the screens opened?"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.errors import BucketryError, UnsupportedError, UsageError
from bucketry.registry.config import load_config

if TYPE_CHECKING:
    from bucketry.cli.call import Call


@command("tui", example="bucketry -r s3://models/prod tui --read-only")
@click.option("--read-only", is_flag=True, help="Change nothing; this cannot be lifted from within.")
def run(call: Call, *, read_only: bool) -> None:
    """Open the screens: browse, compare, review and promote, by keys alone.

    `bucketry` without a command does the same on a terminal. Press ? there for all keys.
    """
    open_screens(call, read_only=read_only)


def open_screens(call: Call, *, read_only: bool) -> None:
    """Show the screens until the user leaves."""
    if call.as_json:
        raise UsageError("the screens have no JSON form", advice="use the commands, such as `bucketry models --json`")
    try:
        from bucketry.tui.launch import run_screens  # noqa: PLC0415 - no other command pays for it
    except ImportError as error:
        raise UnsupportedError(
            "the screens need Textual, which is not installed", advice="install bucketry[tui]"
        ) from error
    run_screens(call.open, read_only=read_only, registry=call.registry)


def can_open(call: Call) -> bool:
    """Return whether a call without a command can mean the screens: they are installed, and a registry is named."""
    from bucketry.tui.terminal import check_terminal  # noqa: PLC0415 - no other command pays for it

    if find_spec("textual") is None:
        return False
    try:
        check_terminal(os.environ)
        load_config().find_profile(call.registry)
    except BucketryError:
        return False
    return True
