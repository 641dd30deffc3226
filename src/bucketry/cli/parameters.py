"""Which values may stand on the command line, and how is each parsed? Everything is parsed here, once, at the edge."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bucketry.errors import UsageError
from bucketry.schema.names import parse_alias, parse_model_name, parse_reference, parse_version
from bucketry.schema.text import displayable
from bucketry.show.figures import parse_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.shell_completion import CompletionItem

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([kMGT]?i?)B?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_FACTORS = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_RANGE = re.compile(r"([0-9]{0,16})-([0-9]{0,16})")
MOST_LISTED = 1_000_000_000
_NEXT_KEY = re.compile(r",(?=[a-z_]+=)")


if TYPE_CHECKING:
    _AnyType = click.ParamType[Any]
else:
    _AnyType = click.ParamType  # not generic before click 8.2


class _Parsed(_AnyType):
    """A value that one of our parsers reads; its `UsageError` says what is wrong better than click could."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401, ARG002
        """Return the parsed value; a value that is none (a default) stays."""
        return self._parse(value) if isinstance(value, str) else value


class FiniteRange(click.FloatRange):
    """A number within bounds, which `nan` and `inf` are not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class _NameType(_Parsed):
    """A model, reference or alias, completed from the registry."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return what the registry has that begins so."""
        from bucketry.cli.completion import complete_name  # noqa: PLC0415 - only a shell needs it

        return complete_name(ctx, self.name, incomplete, model_parameter=param.name != "alias")


def parse_range(text: str) -> tuple[int | None, int | None]:
    """Return first and last byte of `A-B`, `A-` (to the end) or `-N` (the last N); raise `UsageError`."""
    found = _RANGE.fullmatch(text)
    first, last = (int(part) if part else None for part in found.groups()) if found else (None, None)
    if (first is None and last is None) or (first is not None and last is not None and last < first):
        raise UsageError(
            f'"{displayable(text)}" is not a range of bytes',
            advice="write A-B (both included), A- (to the end) or -N (the last N)",
        )
    return first, last


def parse_size(text: str) -> int:
    """Return the bytes of `10GB`, `512MiB` or `1000`; raise `UsageError`."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise UsageError(f'"{displayable(text)}" is not a size', advice="write 10GB, 512MiB or a number of bytes")
    unit = found[2].lower()
    factor = _BINARY_FACTORS.get(unit) or _FACTORS.get(unit)
    if factor is None:
        raise UsageError(f'"{displayable(text)}" is not a size', advice="write 10GB, 512MiB or a number of bytes")
    return int(float(found[1]) * factor)


def parse_rate(text: str) -> float | None:
    """Return the megabytes a second of `200` or `12.5`, or None for `none`; raise `UsageError`."""
    if text == "none":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not math.isfinite(rate) or rate <= 0:
        raise UsageError(
            f'"{displayable(text)}" is not a rate', advice="write megabytes a second as a number above 0, or none"
        )
    return rate


def parse_time_option(text: str) -> str:
    """Return a moment as registers spell it; raise `UsageError`."""
    from bucketry.clock import format_time  # noqa: PLC0415 - beside its one use

    try:
        return format_time(parse_moment(text))
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f'"{displayable(text)}" is not a time', advice="write it like 2026-03-03T12:00:00Z or 2026-03-03"
        ) from error


def parse_pairs(texts: Sequence[str], *, option: str) -> dict[str, str]:
    """Return the `name=value` pairs of a repeated option; raise `UsageError`."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f'"{displayable(text)}" is not NAME=VALUE', advice=f"write {option} NAME=VALUE")
        if name in pairs:
            raise UsageError(f'{option} gives "{displayable(name)}" twice', advice="give it once")
        pairs[name] = value
    return pairs


def parse_fields(text: str, *, option: str, allowed: Sequence[str]) -> dict[str, str]:
    """Return the fields of `name=..,version=..`; raise `UsageError` for a field that is not allowed."""
    pairs = parse_pairs(_NEXT_KEY.split(text), option=option)
    for name in pairs:
        if name not in allowed:
            raise UsageError(f'{option} does not know "{displayable(name)}"', advice=f"use {', '.join(allowed)}")
    return pairs


REFERENCE = _NameType("REF", parse_reference)
MODEL = _NameType("MODEL", parse_model_name)
ALIAS = _NameType("ALIAS", parse_alias)
VERSION = _Parsed("VERSION", parse_version)
RANGE = _Parsed("A-B", parse_range)
TIME = _Parsed("TIME", parse_time_option)
SIZE = _Parsed("SIZE", parse_size)
COUNT = click.IntRange(1, MOST_LISTED)
FILE = click.Path(path_type=Path)
"""A path that is looked at where it is used: its absence is a missing file (3), not a wrong option (2)."""
TRUST = click.option(
    "--trust",
    type=FILE,
    metavar="FILE",
    help="A trust file: only what the reviewers in it approved.  [default: the profile's]",
)
ALLOW_REJECTED = click.option(
    "--allow-rejected",
    is_flag=True,
    show_default=False,
    help="Also what an alias names although it was rejected or revoked. Never overrides a trust file.",
)
REASON = click.option("--reason", default="", show_default=False, metavar="TEXT", help="Why, for the audit trail.")


def sign_option(where: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option that names a key to sign with, "" where none is named; `where` says where to write it."""
    return click.option(
        "--sign",
        "key",
        is_flag=False,
        flag_value="",
        default=None,
        metavar="[KEY]",
        help=f"Sign with an SSH key: a file, or a fingerprint or comment of the agent's. {where}",
    )
