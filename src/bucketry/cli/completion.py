"""What could the word be that is being typed? Commands and options by click, models and aliases from the local index.

An index that is younger than a day is asked alone. Otherwise the registry is looked at while the shell waits, so for
one second at most, and an error completes nothing rather than disturb the line that is being edited.
"""

from __future__ import annotations

import math
import os
import threading
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from click.shell_completion import BashComplete, CompletionItem, get_completion_class, split_arg_string

from bucketry.cli.call import Call
from bucketry.errors import BucketryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    import click
    from click.shell_completion import ShellComplete

    from bucketry.index.store import Index
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import ModelName

LONGEST_WAIT_SECONDS = 1.0
YOUNG_SECONDS = 86_400.0
YOUNG_WITHOUT_SECONDS = 60.0
MOST_ITEMS = 500
MOST_HEADS_READ = 32
SHELLS = ("bash", "zsh", "fish")

_WORD_BREAKS = "@:="
"""Where bash splits a word; it replaces only what follows the last of these."""

_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' response kind value
    response=$(COMP_LINE="${COMP_LINE:0:COMP_POINT}" %(complete_var)s=bash_complete "$1" 2>/dev/null)
    COMPREPLY=()
    for line in $response; do
        kind="${line%%%%,*}"
        value="${line#*,}"
        if [[ $kind == 'dir' ]]; then
            compopt -o dirnames
        elif [[ $kind == 'file' ]]; then
            compopt -o default
        else
            COMPREPLY+=("$value")
        fi
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Bash, which splits `model@alias` and `model:7` into three words: the line is split again here."""

    source_template = _BASH

    def source(self) -> str:
        """Return the script, without starting a shell to ask for its version."""
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is being typed, and what there is of that one."""
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)[1:]
        if words and not line[-1:].isspace():
            return words[:-1], words[-1]
        return words, ""

    def complete(self) -> str:
        """Return the candidates, each without the part of the word that bash does not replace."""
        words, incomplete = self.get_completion_args()
        kept = max((incomplete.rfind(character) + 1 for character in _WORD_BREAKS), default=0)
        items = self.get_completions(words, incomplete)
        return "\n".join(f"{item.type},{item.value[kept:]}" for item in items)


def answer(program: click.Command, name: str, variable: str, instruction: str) -> int:
    """Answer a shell's question in the way of click (`bash_complete`, `zsh_source` ...); return the exit code."""
    shell, _, wanted = instruction.partition("_")
    if shell not in SHELLS or wanted not in {"source", "complete"}:
        return 1
    try:
        completer = _completer(shell)(program, {"obj": Call()}, name, variable)
        text = completer.source() if wanted == "source" else completer.complete()
        Call().output.write_script(text + "\n" if wanted == "complete" else text)
    except Exception:  # noqa: BLE001 - nobody wants an error in the line that is being edited
        return 0
    return 0


def script(program: click.Command, name: str, variable: str, shell: str) -> str:
    """Return the script that a shell reads to learn to complete."""
    return _completer(shell)(program, {}, name, variable).source()


def complete_name(ctx: click.Context, kind: str, incomplete: str, *, model_parameter: bool) -> list[CompletionItem]:
    """Return models, or models with their aliases, or the aliases of the model that was typed before."""
    call = ctx.find_root().obj
    if not isinstance(call, Call):
        return []
    if kind == "ALIAS" and not model_parameter:
        # An option that still waits for its value keeps click from parsing the arguments before it.
        before = ctx.params.get("model") or ctx.params.get("reference") or next(iter(ctx.args), "")
        model = str(getattr(before, "model", before))
        return [CompletionItem(name) for name in _aliases(call, model, incomplete)]
    prefix, at, _ = incomplete.partition("@")
    if kind == "REF" and at:
        return [CompletionItem(f"{prefix}@{name}") for name in _aliases(call, prefix, incomplete[len(prefix) + 1 :])]
    names = _known_or_looked_up(
        call,
        lambda index: _index_search().list_model_names(index, incomplete),
        lambda session: _listed(session, incomplete),
    )
    return [CompletionItem(name) for name in names]


def _aliases(call: Call, model: str, beginning: str) -> list[str]:
    def known(index: Index) -> list[str]:
        name = str(_parse_model(model))
        if not _index_search().has_model(index, name):
            return []
        return _with_latest(_index_search().list_alias_names(index, name, beginning), beginning)

    def look(session: Session) -> list[str]:
        from bucketry.registry.core.registers import load_existing_head  # noqa: PLC0415 - only where the index is old

        head = load_existing_head(session, _parse_model(model))
        return _with_latest([alias for alias in head.aliases if alias.startswith(beginning)], beginning)

    return _known_or_looked_up(call, known, look)


def _known_or_looked_up(
    call: Call, known: Callable[[Index], list[str]], look: Callable[[Session], list[str]]
) -> list[str]:
    """Return what a young index knows, without a request; else look, for a second at most, and bring it up to date.

    Where it knows nothing that fits, it is asked again once it is a minute old: who types a name that is newer than the
    index should not have to wait for tomorrow.
    """
    found, age_seconds = _ask_index(call, known)
    if age_seconds < YOUNG_SECONDS and (found or age_seconds < YOUNG_WITHOUT_SECONDS):
        return found
    looked_up: list[str] = []
    cancelled = threading.Event()

    def work() -> None:
        try:
            session = call.open()
            looked_up.extend(look(session))
            from bucketry.index.refresh import refresh_index  # noqa: PLC0415 - after the answer
            from bucketry.index.store import open_index  # noqa: PLC0415

            with open_index(session) as index:
                refresh_index(index, session, details=False, cancelled=cancelled)
        except Exception:  # noqa: BLE001 - see `answer`
            return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(LONGEST_WAIT_SECONDS)
    cancelled.set()
    return list(looked_up) or found


def _ask_index(call: Call, known: Callable[[Index], list[str]]) -> tuple[list[str], float]:
    """Return what the index of this machine knows, and its age in seconds, which is infinite where there is none."""
    from bucketry.index.store import find_index  # noqa: PLC0415
    from bucketry.registry.core.config import load_config  # noqa: PLC0415 - only a shell needs it

    try:
        index = find_index(load_config().find_profile(call.registry))
        if index is None:
            return [], math.inf
        with index:
            at = index.refreshed_at()
            age_seconds = math.inf if at is None else abs((datetime.now(UTC) - at).total_seconds())
            return known(index), age_seconds
    except BucketryError:
        return [], math.inf


def _listed(session: Session, beginning: str) -> list[str]:
    from bucketry.registry.versions.listing import is_deleted, iter_model_names  # noqa: PLC0415 - only where the index is old

    fitting = islice((name for name in iter_model_names(session) if str(name).startswith(beginning)), MOST_ITEMS)
    names = list(fitting)
    if len(names) > MOST_HEADS_READ:  # so many heads would keep a shell waiting: a name that is gone may be among them
        return [str(name) for name in names]
    gone = session.map_in_parallel(lambda name: is_deleted(session, name), names)
    return [str(name) for name, is_gone in zip(names, gone, strict=True) if not is_gone]


def _with_latest(aliases: list[str], beginning: str) -> list[str]:
    return [*aliases, *(["latest"] if "latest".startswith(beginning) else [])]


def _parse_model(text: str) -> ModelName:
    from bucketry.schema.names import parse_model_name  # noqa: PLC0415

    return parse_model_name(text)


def _index_search() -> ModuleType:
    from bucketry.index import search as index_search  # noqa: PLC0415 - only a shell needs it

    return index_search


def _completer(shell: str) -> type[ShellComplete]:
    if shell == "bash":
        return Bash
    found = get_completion_class(shell)
    if found is None:
        raise LookupError(shell)
    return found
