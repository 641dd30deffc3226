"""What could the word be that is being typed? Commands and options by click, models and aliases from the registry.

A shell waits while we look, so we look for one second at most, and an error completes nothing rather than
disturb the line that is being edited.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from click.shell_completion import BashComplete, CompletionItem, get_completion_class, split_arg_string

from bucketry.cli.call import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import click
    from click.shell_completion import ShellComplete

    from bucketry.registry.session import Session

LONGEST_WAIT_SECONDS = 1.0
MOST_ITEMS = 500
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
        return _within_bound(lambda: _aliases(call.open(), model, incomplete))
    prefix, at, _ = incomplete.partition("@")
    if kind == "REF" and at:
        return _within_bound(
            lambda: [f"{prefix}@{name}" for name in _aliases(call.open(), prefix, incomplete[len(prefix) + 1 :])]
        )
    return _within_bound(lambda: list(_models(call.open(), incomplete)))


def _within_bound(find: Callable[[], list[str]]) -> list[CompletionItem]:
    """Look in a thread, which is left behind when it takes too long or fails."""
    found: list[str] = []

    def look() -> None:
        try:
            found.extend(find())
        except Exception:  # noqa: BLE001 - see `answer`
            found.clear()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(LONGEST_WAIT_SECONDS)
    return [] if thread.is_alive() else [CompletionItem(value) for value in found]


def _models(session: Session, beginning: str) -> Iterator[str]:
    from bucketry.registry.listing import iter_model_names  # noqa: PLC0415 - only a shell needs it

    count = 0
    for model in iter_model_names(session):
        if str(model).startswith(beginning):
            yield str(model)
            count += 1
        if count == MOST_ITEMS:
            return


def _aliases(session: Session, model: str, beginning: str) -> list[str]:
    from bucketry.registry.registers import load_existing_head  # noqa: PLC0415
    from bucketry.schema.names import parse_model_name  # noqa: PLC0415

    head = load_existing_head(session, parse_model_name(model))
    return [alias for alias in (*head.aliases, "latest") if alias.startswith(beginning)]


def _completer(shell: str) -> type[ShellComplete]:
    if shell == "bash":
        return Bash
    found = get_completion_class(shell)
    if found is None:
        raise LookupError(shell)
    return found
