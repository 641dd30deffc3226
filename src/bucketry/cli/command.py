"""How a command is built, so that all take the same global options and explain themselves alike."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from bucketry.cli.call import Call
from bucketry.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_NEGATED = re.compile(
    r"-(?:(?:state|author|alias|model|label|base|data|notes):|[A-Za-z][\w.@%/\[\]=,-]*(?:[<>]|!=)).*", re.DOTALL
)
"""A part of a query that begins with `-`, told from an option by what no option has: a field's colon, `<` or `>`."""

CONTEXT_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "show_default": True}


class GlobalOption(click.Option):
    """An option that is accepted before and after the command; the last one given wins."""


class DocumentedCommand(click.Command):
    """A command with the global options and an example."""

    def __init__(self, *arguments: Any, example: str, **settings: Any) -> None:  # noqa: ANN401 - click's own
        settings["context_settings"] = CONTEXT_SETTINGS
        super().__init__(*arguments, **settings)
        self.example = example
        self.params.extend(global_options())

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        """Apply the global options, which are all known now, and run the command."""
        call = ctx.find_root().obj
        if isinstance(call, Call):
            call.settle()
        check_texts(self, ctx)
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first, then those that every command has."""
        write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the example."""
        write_example(self.example, formatter)


class QueryCommand(DocumentedCommand):
    """A command that takes a query, in which `-state:retired` is no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, with `!` for the minus of a part that must not hold."""
        end = args.index("--") if "--" in args else len(args)
        spelled = [f"!{arg[1:]}" if _NEGATED.fullmatch(arg) else arg for arg in args[:end]]
        return super().parse_args(ctx, [*spelled, *args[end:]])


class CommandGroup(click.Group):
    """A command with commands of its own, such as `cache list`."""

    def __init__(self, name: str, *, example: str, commands: list[click.Command], help: str) -> None:  # noqa: A002 - click's name
        super().__init__(
            name,
            commands=commands,
            no_args_is_help=False,  # a call without a command is a failure like any other
            params=global_options(),
            context_settings=CONTEXT_SETTINGS,
            help=help,
        )
        self.example = example

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options of every command."""
        self.format_commands(ctx, formatter)
        write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the example."""
        write_example(self.example, formatter)


def command(name: str, *, example: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function, which takes the `Call` first and then its options by name."""

    def decorate(function: Callable[..., None]) -> click.Command:
        return click.command(name, cls=DocumentedCommand, example=example)(click.pass_obj(function))

    return decorate


def query_command(name: str, *, example: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function as `command` does, for one that takes a query."""

    def decorate(function: Callable[..., None]) -> click.Command:
        return click.command(name, cls=QueryCommand, example=example)(click.pass_obj(function))

    return decorate


def global_options() -> list[click.Parameter]:
    """Return the options of every command, which are written into the run's `Call`."""
    return [
        GlobalOption(
            ["-r", "--registry"],
            metavar="URL|PROFILE",
            expose_value=False,
            callback=_keep,
            help="The registry: s3://bucket/prefix, a folder, or a name from the configuration."
            "  [default: $BUCKETRY_REGISTRY, else the configuration]",
        ),
        _flag("--json", "as_json", "Print one JSON document."),
        _flag("--quiet", "quiet", "No progress and no notes."),
        _flag("--verbose", "verbose", "Say more, and show where an error came from."),
        _flag("--no-color", "no_color", "Print no colours."),
    ]


def check_texts(command: click.Command, ctx: click.Context) -> None:
    """Raise `UsageError` for a text that is not valid in the locale's encoding: it could be stored nowhere.

    A path may be any bytes, and is no text here.
    """
    for parameter in command.get_params(ctx):
        value = ctx.params.get(parameter.name or "")
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and not _is_text(text):
                raise UsageError(
                    f"{parameter.get_error_hint(ctx)} is not valid {sys.getfilesystemencoding().upper()} text",
                    advice="write it in UTF-8, in a UTF-8 locale such as LC_ALL=C.UTF-8",
                )


def write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Write two lists of options: the command's own, and the global ones."""
    own: list[tuple[str, str]] = []
    everywhere: list[tuple[str, str]] = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and isinstance(parameter, click.Option):
            (everywhere if isinstance(parameter, GlobalOption) else own).append(record)
    for title, records in (("Options", own), ("Options of every command", everywhere)):
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def write_example(example: str, formatter: click.HelpFormatter) -> None:
    """Write an example as it would be typed."""
    with formatter.section("Example"):
        for line in example.splitlines():
            formatter.write(f"  {line}\n")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that cannot be decoded arrive as lone surrogates
        return False
    return True


def _flag(name: str, attribute: str, text: str) -> GlobalOption:
    return GlobalOption(
        [name, attribute],
        is_flag=True,
        show_default=False,
        expose_value=False,
        callback=_keep,
        help=text,
    )


def _keep(ctx: click.Context, parameter: click.Parameter, value: object) -> None:
    """Write an option that was given into the `Call`; one that was not leaves what stood before the command."""
    call = ctx.find_root().obj
    if value and isinstance(call, Call) and parameter.name is not None:
        setattr(call, parameter.name, value)
