"""How does a command line become an exit code? Parse it, call the command, and hand what went wrong to `failures`."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click

from bucketry.cli import messages, output
from bucketry.cli.call import AnsweredError, Call
from bucketry.cli.command import CONTEXT_SETTINGS, global_options, write_example, write_options
from bucketry.cli.failures import PROGRAM, HungUpError, QuitError, TerminatedError, explained
from bucketry.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

    from bucketry.errors import BucketryError

COMPLETION_VARIABLE = "_BUCKETRY_COMPLETE"
CLOSED_PIPE_EXIT_CODE = 141
"""What a shell shows for a program that a closed pipe ended: not a failure of ours, but not a whole output either."""

ENDINGS: Mapping[signal.Signals, type[TerminatedError]] = {
    signal.SIGTERM: TerminatedError,
    signal.SIGHUP: HungUpError,
    signal.SIGQUIT: QuitError,
}
"""What a signal that ends the program raises, so that everything, a terminal above all, is put right on the way out."""

COMMANDS = {
    "init": "Create a registry and probe whether its store keeps the promises that writing needs.",
    "publish": "Upload files and register them as a new version of a model.",
    "models": "List models.",
    "search": "Find versions of all models: by metric, parameter, label, state, author, time or origin.",
    "versions": "List the versions of a model, newest first.",
    "show": "Show everything about one version, or the recipe to train it again.",
    "diff": "Compare versions with a baseline: metrics, parameters, data, files, card sections, tensors.",
    "evaluate": "Add evidence to a published version.",
    "resolve": "Say which version a reference names, now or at a moment in the past.",
    "pull": "Download a version, verified; the target appears complete or not at all.",
    "transfers": "Show and steer pulls and publishes that run apart from any terminal.",
    "cat": "Write one file of a version, or a range of its bytes, to stdout.",
    "tensors": "List the tensors of a version's safetensors files, from their headers alone.",
    "review": "Ask for a review, comment, approve, reject or revoke.",
    "reviews": "List the versions that wait for a review.",
    "gates": "Check the gates of a version's policy: which hold, by how much, and why not.",
    "policy": "Show, check or set approvals, protected aliases and gates.",
    "edit": "Change a model's description and labels, or a version's notes and labels.",
    "watch": "Follow an alias: a line of JSON for each change, a command or a post.",
    "materialize": "Put a version's files under their own names in the bucket, below serve/.",
    "aliases": "List a model's aliases, or every move of one.",
    "promote": "Make an alias name a version.",
    "rollback": "Make an alias name its previous version again.",
    "undo": "Take back the last promotion, rollback or unset of an alias.",
    "unset": "Make an alias name nothing.",
    "retire": "Forbid new use of a version and keep its bytes.",
    "unretire": "Allow use of a retired version again.",
    "retention": "Show, set or apply the rules by which old versions are deleted.",
    "lineage": "Show what a version was made from, or what was made from it.",
    "delete": "Give up a version that no alias names and no other version is made from, or a whole model.",
    "report": "Tell the registry which version this instance serves, and how it was verified here.",
    "deployments": "Show which version each instance reported, beside what its alias names now.",
    "audit": "Show who did what to a model, and verify that the trail is whole.",
    "doctor": "Examine the store: its promises, your rights, the bucket's settings, and how fast it is.",
    "fsck": "Check that everything the registry names is there and is what it should be.",
    "work": "Plan a deep check for many machines, do a shard of it, and collect what they found.",
    "gc": "Say what nobody needs, and free its bytes.",
    "usage": "Say how many bytes each model takes, shares between its versions, and could give back.",
    "mirror": "Copy a registry to another place as a replica, or bring a replica up to date.",
    "bundle": "Carry a registry, or a part of it, in one file: export, import, list, verify.",
    "cache": "List, verify or empty the local cache of pulled versions.",
    "tui": "Open the screens: browse, compare, review and promote, by keys alone.",
    "completion": "Print the script that teaches a shell to complete commands, models and aliases.",
}
"""Each command and its first sentence, so that the list of commands needs none of them imported."""

EXAMPLE = """\
bucketry init ./registry
bucketry -r ./registry publish acme/chat out/ --metrics metrics.json
bucketry -r ./registry promote acme/chat:1 production
bucketry -r ./registry pull acme/chat@production /models/chat"""


class CommandList(click.Group):
    """The commands, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command; `None` for a name that is none."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"bucketry.cli.commands.{cmd_name}")
        found: click.Command = module.run
        return found

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands from the table above, then the options."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the example."""
        write_example(EXAMPLE, formatter)


def run_arguments(arguments: Sequence[str]) -> int:
    """Run the program as its own process does, and return its exit code."""
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
            signal.signal(number, _terminate)
    instruction = os.environ.get(COMPLETION_VARIABLE)
    try:
        if instruction:
            from bucketry.cli.completion import answer  # noqa: PLC0415 - only a shell needs it

            return answer(build(), PROGRAM, COMPLETION_VARIABLE, instruction)
        return run_command(arguments)
    except TerminatedError as ended:  # between two steps, or while another failure was told
        return explained(ended, ()).exit_code


def run_command(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Nothing is raised."""
    output.prepare()
    messages.prepare()
    call = Call()
    try:
        code = _translate(call, arguments)
        call.output.flush()
    except BrokenPipeError:
        call.output.abandon()
        return CLOSED_PIPE_EXIT_CODE
    except OSError as error:  # the disk behind stdout is full: what is buffered will never get there
        call.output.abandon()
        failure = explained(error, arguments)
        call.messages.failure(failure)
        return failure.exit_code
    finally:
        call.close()
    return code


def build() -> click.Group:
    """Return the program as click sees it."""
    program = CommandList(
        PROGRAM,
        callback=_without_command,
        invoke_without_command=True,
        context_settings=CONTEXT_SETTINGS,
        help="A model registry in a bucket, without a server.",
    )
    program.params.append(click.Option(["--version"], is_flag=True, show_default=False, help="Print the version."))
    program.params.extend(global_options())
    return program


def _translate(call: Call, arguments: Sequence[str]) -> int:
    try:
        # Not `Group.main`: it has its own opinions on interrupts, closed pipes and exits.
        program = build()
        with program.make_context(PROGRAM, list(arguments), obj=call) as context:
            program.invoke(context)
    except BrokenPipeError:
        raise
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except AnsweredError as answered:
        return _answer(call, answered)
    except (Exception, KeyboardInterrupt, TerminatedError) as error:  # noqa: BLE001 - no traceback reaches the user
        call.as_json = call.as_json or _asks_for("--json", arguments)
        call.verbose = call.verbose or _asks_for("--verbose", arguments)
        call.settle()
        return _fail(call, explained(error, arguments), cause=error)
    return 0


@click.pass_context
def _without_command(context: click.Context, *, version: bool) -> None:
    """Answer `--version`; without any command open the screens, or print the help where they cannot be shown."""
    call: Call = context.obj
    call.settle()
    if version:
        from bucketry.version import __version__  # noqa: PLC0415 - beside its one use

        call.answer({"version": __version__}, [f"{PROGRAM} {__version__}"])
        context.exit()
    if context.invoked_subcommand is None:
        if call.as_json or not output.is_terminal():
            raise UsageError("no command was given", advice=f"see `{PROGRAM} --help`")
        from bucketry.cli.commands.tui import can_open, open_screens  # noqa: PLC0415 - for a call without a command

        if can_open(call):
            open_screens(call, read_only=False)
        else:
            call.output.write_lines(context.get_help().splitlines())


def _fail(call: Call, error: BucketryError, *, cause: BaseException) -> int:
    call.messages.trace(cause)
    if call.as_json and not call.output.has_bytes:
        call.output.write_document(_error_document(error))
    else:
        call.output.flush()
        call.messages.failure(error)
    return error.exit_code


def _answer(call: Call, answered: AnsweredError) -> int:
    error = answered.error
    call.messages.trace(error)
    if call.as_json:
        added = _error_document(error) if answered.carries_error else {}
        call.output.write_document(answered.document | added)
    else:
        call.output.write_lines(answered.lines)
        call.output.flush()
        call.messages.failure(error)
    return error.exit_code


def _error_document(error: BucketryError) -> dict[str, object]:
    content = {"code": error.exit_code, "kind": error.kind, "message": error.message, "advice": error.remedy}
    return {"error": content}


def _asks_for(option: str, arguments: Sequence[str]) -> bool:
    """Return whether an option was given, for a command line that could not be parsed to its end."""
    head = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return option in head


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    raise ENDINGS[signal.Signals(number)]
