"""Reads a file that somebody gives as text or JSON, in whichever encoding, or says what it is instead."""

from __future__ import annotations

import json
import re
from typing import Any

from bucketry.errors import CorruptError
from bucketry.schema.text import displayable

DEEPEST_NESTING = 32
LONGEST_START = 40

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
"""Byte order marks; the longer of two that begin alike comes first."""
_BINARY = (
    (b"PK\x03\x04", "a zip archive (as .npz, .xlsx, .pt and Inspect's .eval are)"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"PAR1", "a Parquet file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89PNG", "a picture"),
    (b"%PDF", "a PDF"),
    (b"SQLite format 3", "an SQLite data base"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_ADVICE = "save it as text: JSON, CSV, or a model card"


def decode_text(body: bytes, *, what: str) -> str:
    """Return a file's text without its byte order mark; raise `CorruptError` that says what it is instead."""
    if not body.strip():
        raise CorruptError(f"{what} is empty", advice='write {"auc": 0.91}, or what a tool measured')
    for magic, name in _BINARY:
        if body.startswith(magic):
            raise CorruptError(f"{what} is {name}, not text", advice=_ADVICE)
    start = body[: min(len(body) // 2 * 2, 64)]
    guessed = "utf-8"
    if start and not any(start[1::2]) and all(start[::2]):  # UTF-16 without a mark: every other byte is zero
        guessed = "utf-16-le"
    elif start and not any(start[::2]) and all(start[1::2]):
        guessed = "utf-16-be"
    mark, encoding = next(((mark, name) for mark, name in _MARKS if body.startswith(mark)), (b"", guessed))
    try:
        text = body[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.upper()
        raise CorruptError(f"{what} is not {name} text (byte {error.start + len(mark):,})", advice=_ADVICE) from error
    if "\0" in text:
        raise CorruptError(f"{what} is not text: it has bytes that are zero", advice=_ADVICE)
    if not text.strip():
        raise CorruptError(f"{what} is empty", advice='write {"auc": 0.91}, or what a tool measured')
    return text


def load_json(text: str, *, what: str) -> Any:  # noqa: ANN401 - whatever stands there
    """Return a JSON value, NaN and infinities among it; raise `CorruptError`.

    A key that stands twice in one object is refused: of two values one would be lost.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_doubles,
            parse_int=lambda digits: int(digits) if len(digits) < 17 else float(digits),
        )
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and error.lineno > 1:
            raise CorruptError(
                f"{what} has several JSON documents, one on each line", advice="give one document: a list of them"
            ) from error
        place = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise CorruptError(f"{what} begins like JSON, but is none: {place}", advice="mend it") from error
    except UnicodeEncodeError as error:
        raise CorruptError(f"{what} has half a character (a lone surrogate) in a text", advice="mend it") from error
    except ValueError as error:
        raise CorruptError(f"{what}: {displayable(str(error))}", advice="mend it") from error
    except RecursionError as error:
        raise CorruptError(
            f"{what} is nested deeper than {DEEPEST_NESTING} levels", advice="write it flatter"
        ) from error
    if _is_deeper(value, DEEPEST_NESTING):
        raise CorruptError(f"{what} is nested deeper than {DEEPEST_NESTING} levels", advice="write it flatter")
    return value


def start_of(text: str) -> str:
    """Return how a text begins, to name one that is of no known format."""
    first = text.strip().split("\n", 1)[0]
    return displayable(repr(first[:LONGEST_START]))


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        seen: set[str] = set()
        double = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {double!a} stands twice in one object")
    return table


def _is_deeper(value: object, levels_left: int) -> bool:
    inners = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels_left < 0 or any(_is_deeper(inner, levels_left - 1) for inner in inners)
