"""`completion`: the script by which a shell completes what is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command

if TYPE_CHECKING:
    from bucketry.cli.call import Call


@command(
    "completion",
    example='eval "$(bucketry completion bash)"        # in ~/.bashrc\n'
    'eval "$(bucketry completion zsh)"         # in ~/.zshrc, after compinit\n'
    "bucketry completion fish | source         # in ~/.config/fish/config.fish",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def run(call: Call, shell: str) -> None:
    """Print the script that teaches a shell to complete commands, models and aliases.

    Models and aliases come from the local index; one older than a day is brought up to date, for at most a second.
    """
    from bucketry.cli.completion import script  # noqa: PLC0415 - not for `--help`
    from bucketry.cli.failures import PROGRAM  # noqa: PLC0415 - beside its one use
    from bucketry.cli.program import COMPLETION_VARIABLE, build  # noqa: PLC0415 - it imports us

    text = script(build(), PROGRAM, COMPLETION_VARIABLE, shell)
    if call.as_json:
        call.output.write_document({"shell": shell, "script": text})
    else:
        call.output.write_script(text)
