"""What a failure of any kind looks like to the user: its kind, its exit code, and what to do now."""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import TYPE_CHECKING

import click

from bucketry.errors import (
    BucketryError,
    DeniedError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
    UsageError,
)
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAM = "bucketry"
LONGEST_ECHO_CHARACTERS = 200
"""So much of an argument is repeated in a message: enough to know it again."""

_SEPARATORS = re.compile(r"[@:=,/\s]")
LOCALE_ADVICE = "set a UTF-8 locale, such as `export LC_ALL=C.UTF-8`, then run it again"


class TerminatedError(BaseException):
    """SIGTERM arrived. Like Ctrl-C it is no `Exception`, so that everything is cleaned up on the way out."""


class HungUpError(TerminatedError):
    """SIGHUP arrived: the terminal has gone, or somebody says so."""


class QuitError(TerminatedError):
    """SIGQUIT arrived, from a key perhaps."""


class InterruptedRunError(BucketryError):
    """What Ctrl-C looks like to the user."""

    exit_code = 130
    kind = "interrupted"


class TerminatedRunError(BucketryError):
    """What SIGTERM looks like to the user."""

    exit_code = 143
    kind = "terminated"


class HungUpRunError(TerminatedRunError):
    """What SIGHUP looks like to the user, who may still look."""

    exit_code = 129


class QuitRunError(TerminatedRunError):
    """What SIGQUIT looks like to the user."""

    exit_code = 131


def explained(error: BaseException, arguments: Sequence[str]) -> BucketryError:
    """Return any failure as one of ours, with a kind, an exit code and advice, and long arguments in it cut short."""
    failure = _translated(error)
    if isinstance(failure, NotFoundError) and _is_nowhere():
        failure.message += f"; the current folder {os.environ.get('PWD', '')} was deleted".replace("  ", " ")
        failure.advice = "change to a folder that exists, then run it again"
    failure.message, failure.advice = _cut(failure.message, arguments), _cut(failure.advice, arguments)
    return failure


def _translated(error: BaseException) -> BucketryError:  # noqa: PLR0911 - one case, one return
    advice = "run it again; what was done already is kept"
    match error:
        case BucketryError():
            return error
        case click.ClickException():
            path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else PROGRAM
            message = error.format_message().rstrip(".")
            return UsageError(message[:1].lower() + message[1:], advice=f"see `{path} --help`")
        case KeyboardInterrupt():
            return InterruptedRunError("interrupted before the work was done", advice=advice)
        case HungUpError():
            return HungUpRunError("the terminal hung up before the work was done", advice=advice)
        case QuitError():
            return QuitRunError("told to quit before the work was done", advice=advice)
        case TerminatedError():
            return TerminatedRunError("terminated before the work was done", advice=advice)
        case OSError():
            return _system_error(error)
        case UnicodeEncodeError() if error.encoding == sys.getfilesystemencoding() != "utf-8":
            # Which name is left out: it might not be a name at all.
            return UnsupportedError(
                f"the name of a file cannot be written in the encoding of this locale, {error.encoding}",
                advice=LOCALE_ADVICE,
            )
    # Only the type: the message of an error that nobody foresaw may hold anything, a credential included.
    return BucketryError(
        f"something unforeseen happened ({type(error).__name__})",
        advice="run it again with --verbose and report what it prints",
    )


def _system_error(error: OSError) -> BucketryError:  # noqa: PLR0911 - one case, one return
    place = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
    message = f"{(error.strerror or type(error).__name__).lower()}{place}"
    if error.errno == errno.EBADF:
        return UnavailableError(message, advice="leave stdout open, or send it to /dev/null")
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):
        return UnavailableError(
            "there is no temporary folder that can be written", advice="set TMPDIR to one, then run it again"
        )
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return DeniedError(message, advice="check the permissions of the file or folder")
    if isinstance(error, FileNotFoundError):
        return NotFoundError(message, advice="check the path")
    if isinstance(error, IsADirectoryError | NotADirectoryError) or error.errno == errno.ENAMETOOLONG:
        return UsageError(message, advice="check the path")
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return UnavailableError(message, advice="free some space, then run it again")
    if error.errno == errno.EFBIG:
        return UnavailableError(message, advice="look at `ulimit -f`, or choose a file system that takes larger files")
    return UnavailableError(message, advice="run it again; if it stays, `--verbose` shows where it comes from")


def _is_nowhere() -> bool:
    """Return whether the current folder was deleted: then nothing relative is found, and errors name no file."""
    try:
        os.getcwd()  # noqa: PTH109 - only whether there is one
    except FileNotFoundError:
        return True
    return False


def _cut(text: str, arguments: Sequence[str]) -> str:
    """Return the text with every long argument in it, or long part of one, cut short."""
    for piece in sorted(set(_long_pieces(arguments)), key=len, reverse=True):
        text = text.replace(piece, piece[:LONGEST_ECHO_CHARACTERS] + "...")
    return text


def _long_pieces(arguments: Sequence[str]) -> Iterator[str]:
    for argument in arguments:
        if len(argument) > LONGEST_ECHO_CHARACTERS:
            for piece in (argument, argument.partition("=")[2], *_SEPARATORS.split(argument)):
                for shown in (piece, displayable(piece)):
                    if len(shown) > LONGEST_ECHO_CHARACTERS:
                        yield shown
