"""Turns documents into bytes, and bytes that nobody has to believe into documents.

All documents are UTF-8 JSON with sorted keys and `"format": 1`. Decoding believes nothing: size and nesting
are limited before parsing; duplicate keys, integers outside 2^53, NaN, infinities, a byte order mark and lone
surrogates are errors. Typed values read their fields through `Fields`, which keeps what it does not know, so
that fields of a newer program survive a read and a write.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, ValuesView
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import orjson

from bucketry.errors import BucketryError, CorruptError, NewerFormatError, UsageError
from bucketry.schema.names import LARGEST_INTEGER, Digest, parse_digest
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMAT = 1
LARGEST_DOCUMENT_BYTES = 8 * 1024 * 1024
DEEPEST_NESTING = 32
LONGEST_TEXT = 65_536
_LEAVES = frozenset({str, int, bool, type(None)})

# Neither a moment nor a dataclass becomes a text or a table unseen: what is written is what was said.
_WRITTEN = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
)
_OPENING = frozenset({b"[", b"{"})

Document = dict[str, Any]
T = TypeVar("T")

# All up to the next bracket or the end, and the bracket: the strings of a large manifest cost no step of ours.
# Possessive, and content with a string or a text that never ends: otherwise 40 kB of `\"` take seconds, 8 MiB days.
_UP_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"?)*+([\[\]{}]?)', re.DOTALL)


def encode(document: Mapping[str, object]) -> bytes:
    """Return the document's bytes: sorted keys, no spaces, a final newline left out.

    Raises `UsageError` that names the place for what no reader would accept, or would read as something else: a number
    that is not finite or too large, no text, or a document over 8 MiB or deeper than 32 levels.
    """
    _check_writable(document, levels_left=DEEPEST_NESTING)
    try:
        body = orjson.dumps(document, option=_WRITTEN)
    except (orjson.JSONEncodeError, TypeError) as error:
        place = displayable(_place_of_fault(document, "") or "this")
        raise UsageError(f"{place} cannot be written as JSON: {error}") from error
    if len(body) > LARGEST_DOCUMENT_BYTES:
        raise UsageError(
            f"a document of {len(body):,} bytes is over the limit of {LARGEST_DOCUMENT_BYTES:,}",
            advice="publish fewer or larger files, or shorter metadata",
        )
    return body


def decode(body: bytes, *, what: str) -> Document:
    """Return the JSON object in `body`.

    Raises `CorruptError`, or `NewerFormatError` for a newer format; both name `what`.
    """
    document = decode_foreign(body, what=what)
    written_in = document.get("format")
    if not isinstance(written_in, int) or isinstance(written_in, bool) or written_in < 1:
        raise CorruptError(f"{what} does not say in which format it is written")
    if written_in > FORMAT:
        needed = displayable(str(document.get("needs", f"that reads format {written_in}")))
        raise NewerFormatError(
            f"{what} is written in format {written_in}; this program reads format {FORMAT}",
            advice=f"install a version of bucketry {needed}",
        )
    return document


def decode_foreign(body: bytes, *, what: str) -> Document:
    """Return the JSON object in `body`, which need not be one of ours; raise `CorruptError`."""
    value = decode_json(body, what=what)
    if not isinstance(value, dict):
        raise CorruptError(f"{what} is not a JSON object")
    return value


def decode_json(body: bytes, *, what: str) -> object:
    """Return any JSON value, under the same limits; raise `CorruptError`."""
    if len(body) > LARGEST_DOCUMENT_BYTES:
        raise CorruptError(f"{what} has {len(body):,} bytes; the limit is {LARGEST_DOCUMENT_BYTES:,}")
    if body.count(b"{") + body.count(b"[") > DEEPEST_NESTING and _nesting(body) > DEEPEST_NESTING:
        raise CorruptError(f"{what} is nested deeper than {DEEPEST_NESTING} levels")
    try:
        value = orjson.loads(body)
        # Whoever wrote it wrote it as we do: so no key stands twice and every number is one of ours, in a fifth of the
        # time. Walks over a hundred thousand documents need it (docs/decisions/0083).
        if orjson.dumps(value, option=_WRITTEN) == body:
            return value
    except (ValueError, TypeError):
        pass  # the careful reader below says what is wrong
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_int=_safe_integer,
            parse_float=_finite_number,
            parse_constant=_refuse_constant,
        )
        if b"\\u" in body:
            orjson.dumps(value)  # the only parser here that refuses lone surrogates
    except (ValueError, orjson.JSONEncodeError, TypeError) as error:
        raise CorruptError(f"{what} is not valid JSON: {error}") from error
    return value


def without_empty(document: Document) -> Document:
    """Return a document without the fields that say nothing: None, and an empty text, list or table."""
    return {name: value for name, value in document.items() if value is not None and value not in ({}, [], "")}


def digest_of(body: bytes) -> Digest:
    """Return the SHA-256 of the bytes: what an immutable document is named by."""
    return Digest(hashlib.sha256(body).hexdigest())


class Fields:
    """A reader of one JSON object that checks types and remembers which fields were asked for.

    Every method raises `CorruptError` naming the document and the field.
    """

    def __init__(self, document: object, *, what: str) -> None:
        self.what = what
        self._document: Document = document if isinstance(document, dict) else self._wrong("", "an object")
        self._seen: set[str] = {"format"}

    def text(self, name: str, *, default: str | None = None, longest: int = LONGEST_TEXT) -> str:
        """Return a string."""
        value = self._take(name, default)
        if not isinstance(value, str) or len(value) > longest:
            self._wrong(name, f"a text of at most {longest} characters")
        return value

    def integer(self, name: str, *, default: int | None = None, least: int = 0) -> int:
        """Return an integer of at least `least`."""
        value = self._take(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            self._wrong(name, f"an integer of at least {least}")
        return value

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        """Return true or false."""
        value = self._take(name, default)
        if not isinstance(value, bool):
            self._wrong(name, "true or false")
        return value

    def number(self, name: str, *, default: float | None = None) -> float:
        """Return a number; an integer stays one."""
        value = self._take(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            self._wrong(name, "a number")
        return value

    def digest(self, name: str) -> Digest:
        """Return a SHA-256."""
        return self.parsed(name, parse_digest)

    def optional_digest(self, name: str) -> Digest | None:
        """Return a SHA-256, or None where there is none."""
        return None if self._is_missing(name) else self.digest(name)

    def optional_text(self, name: str) -> str | None:
        """Return a string, or None where there is none."""
        return None if self._is_missing(name) else self.text(name)

    def optional_integer(self, name: str, *, least: int = 0) -> int | None:
        """Return an integer, or None where there is none."""
        return None if self._is_missing(name) else self.integer(name, least=least)

    def parsed(self, name: str, parse: Callable[[str], T]) -> T:
        """Return the string as `parse` understands it."""
        text = self.text(name)
        try:
            return parse(text)
        except BucketryError as error:
            place = displayable(f"{self.what}: {name}")
            raise CorruptError(f"{place}: {error.message}") from error

    def optional_number(self, name: str) -> float | None:
        """Return a number, or None where there is none."""
        return None if self._is_missing(name) else self.number(name)

    def items(self, name: str, *, most: int = 1_000_000) -> list[Any]:
        """Return a list; a missing one is empty."""
        value = self._take(name, [])
        if not isinstance(value, list) or len(value) > most:
            self._wrong(name, f"a list of at most {most}")
        return value

    def table(self, name: str) -> Document:
        """Return an object with any fields; a missing one is empty."""
        value = self._take(name, {})
        if not isinstance(value, dict):
            self._wrong(name, "an object")
        return value

    def inner(self, name: str) -> Fields:
        """Return a reader of an object in this object; a missing one is empty."""
        return self._inner(name, self.table(name))

    def inners(self, name: str, *, most: int = 1_000_000) -> list[Fields]:
        """Return readers of a list of objects."""
        return [self._inner(name, item) for item in self.items(name, most=most)]

    def consumed_inners(self, name: str, *, most: int = 1_000_000) -> Iterator[Fields]:
        """Yield readers of a list of objects, each of which is gone after it: of many, few then lie in memory twice."""
        items = self.items(name, most=most)
        for index in range(len(items)):
            item, items[index] = items[index], None
            yield self._inner(name, item)

    def texts(self, name: str) -> dict[str, str]:
        """Return an object whose values are strings, such as labels."""
        table = self.table(name)
        if not all(isinstance(value, str) for value in table.values()):
            self._wrong(name, "an object of texts")
        return table

    def rest(self) -> Document:
        """Return the fields that nobody asked for, to be written back as they are."""
        return {name: value for name, value in self._document.items() if name not in self._seen}

    def _inner(self, name: str, value: object) -> Fields:
        inner = Fields(value, what=f"{self.what}: {name}")
        inner._seen.clear()  # only at the top is `format` ours; further in it may be anybody's field
        return inner

    def _take(self, name: str, default: object) -> Any:  # noqa: ANN401 - each caller checks what it gets
        self._seen.add(name)
        value = self._document.get(name)
        return default if value is None else value

    def _is_missing(self, name: str) -> bool:
        self._seen.add(name)
        return self._document.get(name) is None

    def _wrong(self, name: str, expected: str) -> NoReturn:
        place = f"{self.what}: {name}" if name else self.what
        raise CorruptError(f"{displayable(place)} is not {expected}")


def _nesting(body: bytes) -> int:
    depth = deepest = 0
    # Found one after the other: to take the strings out of a large manifest took 50 MB for a moment.
    for found in _UP_TO_BRACKET.finditer(body):
        if found[1] in _OPENING:
            depth += 1
            if depth > deepest:
                deepest = depth
                if deepest > DEEPEST_NESTING:
                    break
        elif found[1]:
            depth -= 1
    return deepest


def _unique_keys(pairs: list[tuple[str, Any]]) -> Document:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return document


def _safe_integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > LARGEST_INTEGER:
        raise ValueError("an integer is outside 2^53")
    return int(text)


def _finite_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is not finite")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _check_writable(value: object, *, levels_left: int) -> None:
    """Raise for what no reader would accept. Texts and small integers, which most values are, cost one look."""
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError("a number is not finite (NaN or infinity)", advice="leave the value out")
    inners = value.values() if isinstance(value, Mapping) else value
    if isinstance(inners, ValuesView | list | tuple):
        if levels_left == 0:
            raise UsageError(
                f"a document would be nested deeper than {DEEPEST_NESTING} levels",
                advice="publish flatter metadata",
            )
        for inner in inners:
            if type(inner) not in _LEAVES:
                _check_writable(inner, levels_left=levels_left - 1)


def _place_of_fault(value: object, place: str) -> str:
    """Return where in a document, which is no deeper than 32 levels, something is that JSON cannot hold; else empty."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            at = f"{place}: {name!s:.80}" if place else f"{name!s:.80}"
            if not _is_writable(name) or not isinstance(name, str):
                return f"the name {name!a:.80}" + (f" in {place}" if place else "")
            found = _place_of_fault(inner, at)
            if found:
                return found
        return ""
    if isinstance(value, list | tuple):
        return next(filter(None, (_place_of_fault(x, f"{place}[{index}]") for index, x in enumerate(value))), "")
    return "" if _is_writable(value) else place


def _is_writable(value: object) -> bool:
    try:
        orjson.dumps(value, option=_WRITTEN)
    except (orjson.JSONEncodeError, TypeError):
        return False
    return True
