"""The beginning of the screens: a look at the terminal first, as the toolkit reads the environment when imported."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.tui.drawing.terminal import check_terminal, look_at_terminal, prepare_environment
from bucketry.tui.shell.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.core.session import Session

LEAVE_SECONDS = 0.5
"""How long what reads behind the screens is waited for; one that hangs ends with the program."""


def run_screens(
    open_registry: Callable[[], Session], *, read_only: bool, registry: str | None, cursor: bool = False
) -> None:
    """Show the screens until the user leaves; raise `UsageError` where they cannot be shown.

    `registry` is how the user named the registry on the command line, for the lines of the command log. With `cursor`
    the terminal's cursor is on the selected row, whatever the configuration says.
    """
    check_terminal(os.environ)
    terminal = look_at_terminal(os.environ)
    prepare_environment(terminal)
    settings = load_settings()
    settings = replace(settings, cursor=settings.cursor or cursor)
    session = open_registry()

    from textual.drivers import linux_driver  # noqa: PLC0415 - a terminal that is refused needs none of these

    from bucketry.index.store import open_index  # noqa: PLC0415 - a terminal that is refused needs none of these
    from bucketry.tui.data.source import Source  # noqa: PLC0415 - a terminal that is refused needs none of these
    from bucketry.tui.shell.app import BucketryApp  # noqa: PLC0415 - a terminal that is refused needs none of these
    from bucketry.tui.shell.pasting import guard_pastes  # noqa: PLC0415 - a terminal that is refused needs none of these
    from bucketry.tui.shell.signals import guard_resumes, run_until_signal  # noqa: PLC0415 - loads asyncio

    guard_pastes(linux_driver)
    guard_resumes(linux_driver)
    index = open_index(session)
    if index.refreshed_at() is None:  # nothing can be shown yet, so a bucket that cannot be opened is said first
        _ = session.store.endpoint
    source = Source(session, index, live_seconds=3 * settings.refresh_seconds)
    app = BucketryApp(source, terminal, settings=settings, read_only=read_only, registry=registry)
    mouse = settings.mouse if settings.mouse is not None else not terminal.is_ssh
    end = asyncio.run(run_until_signal(app, mouse=mouse))
    if app.background.stop(patience_seconds=LEAVE_SECONDS):
        index.close()
    if end is not None:
        end()
