"""`tui`: opens the screens, in the terminal or in a browser."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.errors import BucketryError, UnsupportedError, UsageError
from bucketry.registry.core.config import load_config

if TYPE_CHECKING:
    from bucketry.cli.call import Call

WEB_HOST, WEB_PORT = "127.0.0.1", 8000
PROGRAM = (sys.executable, "-P", "-c", "from bucketry.cli.main import run; run()")


@command("tui", example="bucketry -r s3://models/prod tui --read-only")
@click.option("--read-only", is_flag=True, help="Change nothing; this cannot be lifted from within.")
@click.option("--cursor", is_flag=True, help="Keep the terminal's cursor on the selected row, for a screen reader.")
@click.option("--web", is_flag=True, help="Serve them to this user's browser, and print the address to open.")
@click.option("--host", metavar="ADDRESS", help=f"With --web, listen there.  [default: {WEB_HOST}]")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    metavar="NUMBER",
    help=f"With --web, listen there; 0 takes any that is free.  [default: {WEB_PORT}]",
)
def run(call: Call, *, read_only: bool, cursor: bool, web: bool, host: str | None, port: int | None) -> None:
    """Open the screens: browse, compare, review and promote, by keys alone.

    `bucketry` without a command does the same on a terminal. Press ? there for all keys.

    With --web they open in a browser instead. Whoever knows the address acts as this user; it is printed here only,
    and holds until Ctrl-C. Beyond this machine they are served with --read-only alone.
    """
    if web and cursor:
        raise UsageError("--cursor is for a terminal, and --web is for a browser", advice="leave one of them out")
    if web:
        serve(call, read_only=read_only, host=host or WEB_HOST, port=WEB_PORT if port is None else port)
        return
    if host is not None or port is not None:
        raise UsageError("--host and --port say where --web listens", advice="add --web, or leave them out")
    open_screens(call, read_only=read_only, cursor=cursor)


def open_screens(call: Call, *, read_only: bool, cursor: bool = False) -> None:
    """Show the screens until the user leaves."""
    _refuse_json(call)
    try:
        from bucketry.tui.shell.launch import run_screens  # noqa: PLC0415 - no other command pays for it
    except ImportError as error:
        raise UnsupportedError(
            "the screens need Textual, which is not installed", advice="install bucketry[tui]"
        ) from error
    run_screens(lambda: call.open(late=True), read_only=read_only, registry=call.registry, cursor=cursor)


def serve(call: Call, *, read_only: bool, host: str, port: int) -> None:
    """Serve the screens to a browser until the user interrupts it."""
    _refuse_json(call)
    if find_spec("textual_serve") is None or find_spec("textual") is None:
        raise UnsupportedError(
            "the screens in a browser need textual-serve, which is not installed", advice="install bucketry[web]"
        )
    from bucketry.tui.web.guard import is_loopback  # noqa: PLC0415 - no other command pays for it
    from bucketry.tui.web.server import ServedAddress, check_host, serve_screens  # noqa: PLC0415 - no other command pays for it

    check_host(host, read_only=read_only)
    title = call.open().store.name
    if not is_loopback(host):
        call.messages.note(
            f"whoever reaches {host} and knows the address below reads this registry as you do;"
            " nothing on the way is encrypted"
        )
    words = [*PROGRAM, *(("-r", call.registry) if call.registry is not None else ()), "tui"]
    words += ["--read-only"] if read_only else []

    def opened(address: str) -> None:
        call.output.write_lines([address])
        call.output.flush()
        call.messages.note("open this address in a browser, and keep it to yourself: it acts as you; ctrl-c ends it")

    serve_screens(ServedAddress(words, title, host, port), opened=opened, failed=call.messages.note)


def can_open(call: Call) -> bool:
    """Return whether a call without a command can mean the screens: they are installed, and a registry is named."""
    from bucketry.tui.drawing.terminal import check_terminal  # noqa: PLC0415 - no other command pays for it

    if find_spec("textual") is None:
        return False
    try:
        check_terminal(os.environ)
        load_config().find_profile(call.registry)
    except BucketryError:
        return False
    return True


def _refuse_json(call: Call) -> None:
    if call.as_json:
        raise UsageError("the screens have no JSON form", advice="use the commands, such as `bucketry models --json`")
