"""The way of a version from a screen to this machine: by the worker, which outlives the screen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.schema.documents.states import State
from bucketry.schema.names import ByVersion, Reference
from bucketry.schema.text import fault_in_line
from bucketry.show.figures import size_text
from bucketry.show.spans import Span, line
from bucketry.tui.shell.asking import Question
from bucketry.tui.shell.commands import Command
from bucketry.user_folders import expand_user, find_home

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.index.views import VersionLine
    from bucketry.jobs.client import JobId
    from bucketry.tui.shell.view import Shell, View

MOST_COMPLETIONS = 50


def why_not_here(app: Shell) -> str:
    """Return why no transfer may be begun or steered from here, or "".

    Read-only screens in a browser may be served to other machines, over a line that others read: whoever comes in
    reads the registry, and fills or stops nothing on this machine.
    """
    if app.read_only and app.terminal.is_browser:
        return "with --read-only, a browser begins and steers no transfer on the machine that serves it"
    return ""


def why_no_version(view: View) -> str:
    """Return why there is no version to get or to read, or "" where there is one."""
    return "" if view.version is not None else "there is no version"


def download_command(why_none: Callable[[View], str] = why_no_version) -> Command[View]:
    """Return the command that gets the version under the cursor."""

    def run(view: View, place: str) -> None:
        row = view.version
        if row is not None and place:
            _begin(view.shell, row, place)
        elif row is not None:
            _ask(view.shell, row)

    def why_not(view: View) -> str:
        return why_not_here(view.shell) or why_none(view)

    return Command(
        "download", ("d",), "Download, apart from this screen", run, why_not, "get", "Read", argument="FOLDER"
    )


DOWNLOAD = download_command()


def _ask(shell: Shell, row: VersionLine) -> None:
    try:
        base = shell.transfers.last_folder or str(Path.cwd())
    except OSError:  # it was removed
        base = str(find_home() or "/")
    reference = f"{row.model}:{row.version}"
    refused = [line(Span(f"version {row.version} is REJECTED; by its number it comes all the same", "bad"))]
    panel = (
        *(refused if row.state == State.REJECTED else ()),
        line(f"{reference}, {size_text(row.size_bytes)}, verified as it arrives. No text: to the cache."),
        line("It goes on if this window or the SSH line closes; t shows how far it is."),
        line(Span("same as:  " + shell.command_line("pull", reference, "FOLDER", "--detach"), "dim")),
    )

    def why_not_there(text: str) -> str:
        try:
            expand_user(text.strip())
        except UsageError as error:
            return error.message
        fault = fault_in_line(text)
        return f"a path cannot have {fault}" if fault else ""

    shell.ask(
        Question(
            f"get {reference} to:",
            lambda text: _begin(shell, row, text.strip()),
            initial=os.path.join(base, str(row.model), f"v{row.version}"),  # noqa: PTH118 - a text to be edited
            panel=panel,
            panel_title="DOWNLOAD",
            why_not=why_not_there,
            enter="get",
            complete=_folders,
        )
    )


def _begin(shell: Shell, row: VersionLine, place: str) -> None:
    """Order the pull, behind the keys: the reference and the target are looked at before anything is answered."""
    reference = Reference(row.model, ByVersion(row.version))
    dest = expand_user(place).absolute() if place else None
    to = str(dest) if dest is not None else "the cache"
    suffix = f"/{row.model}/v{row.version}"
    if dest is not None and str(dest).endswith(suffix):
        shell.transfers.last_folder = str(dest).removesuffix(suffix) or "/"

    told: list[str] = []

    def done(job_id: JobId) -> None:
        text = f"transfer {job_id}: {reference} to {to}; t shows how far it is"
        if told:
            shell.flash(f"{text}; this is {told[0]}", "bad")
        else:
            shell.flash(text, "good")
        shell.transfers.look(forced=True)

    def submit() -> JobId:
        from bucketry.jobs import client as jobs  # noqa: PLC0415 - most sessions get nothing

        return jobs.submit_pull(shell.registry, reference, dest, on_refused=told.append)

    words = ("pull", str(reference), *((str(dest),) if dest is not None else ()), "--detach")
    shell.flash(f"{shell.command_line(*words)} ...", "dim")
    shell.read(f"submit {reference} {to}", words, lambda _: submit(), done)


def _folders(text: str) -> Sequence[str]:
    """Return the folders whose names go on as the text does."""
    head, _, begun = text.rpartition("/")
    found: list[str] = []
    try:
        with os.scandir(expand_user(f"{head}/" if "/" in text else ".")) as entries:
            for entry in entries:
                if entry.name.startswith(begun) and entry.is_dir():
                    found.append(f"{head}/{entry.name}/" if "/" in text else f"{entry.name}/")
                if len(found) >= MOST_COMPLETIONS:
                    break
    except (OSError, UsageError, ValueError):
        return ()
    return sorted(found)
