"""The user's own pager: a text is shown in it, a card above all, and the screens are put away meanwhile."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from bucketry.registry.core.resolve import resolve
from bucketry.registry.reading.cards import find_card
from bucketry.schema.names import ByVersion, Reference
from bucketry.schema.text import displayable
from bucketry.tui.shell.commands import Command

if TYPE_CHECKING:
    from bucketry.registry.reading.cards import Card
    from bucketry.tui.shell.view import Shell, View

USUAL_PAGERS = ("less", "more")


def show_in_pager(shell: Shell, text: str) -> None:
    """Run the pager on a text, made displayable first, and come back when it ends; say so where that cannot be."""
    pager = _find_pager()
    if not pager:
        shell.flash("there is no pager here: set PAGER to one", "warn")
        return
    shown = displayable(text, newlines=True)
    if shell.painter.ascii_only:
        shown = "\n".join(map(shell.painter.page.text, shown.split("\n")))
    failure = ""
    try:
        with shell.suspend():
            try:
                ended = subprocess.run(pager, input=shown.encode(), check=False)  # noqa: S603 - the user's own choice
                failure = f"{pager[0]} ended with {ended.returncode}" if ended.returncode else ""
            except OSError as error:
                failure = f"{pager[0]} could not be started: {error.strerror}"
    except SuspendNotSupported:
        failure = "no pager can be shown on this display; the tab Card shows the same"
    if failure:
        shell.flash(failure, "warn")


def _page_card(view: View, _: str) -> None:
    shell, row = view.shell, view.version
    if row is None:
        return
    reference = Reference(row.model, ByVersion(row.version))

    def show(card: Card | None) -> None:
        if card is None:
            shell.flash(f"{reference} has no card", "warn")
        else:
            show_in_pager(shell, card.text)

    shell.flash(f"reading the card of {reference} ...", "dim")
    shell.read(
        f"card-{id(view)}",
        ("show", str(reference)),
        lambda session: find_card(session, resolve(session, reference)),
        show,
    )


def _find_pager() -> list[str]:
    """Return the command of the pager that the user wants, else of one that is there; empty for none."""
    try:
        wanted = shlex.split(os.environ.get("PAGER", ""))
    except ValueError:  # a quotation that does not end
        wanted = []
    return wanted or next(([name] for name in USUAL_PAGERS if shutil.which(name)), [])


CARD: Command[View] = Command(
    "card",
    ("m",),
    "Show the card in a pager",
    _page_card,
    lambda view: "" if view.version is not None else "there is no version",
    group="Read",
)
