"""The retention rules of a model, or of the registry: which versions are deleted when they are old.

They lie in the register itself, a few numbers and words: whoever deletes by them decides on the very state that the
deletion replaces. A model's rules replace the registry's as a whole.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.documents.gate_parsing import check_keys, read_flag, read_texts, read_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bucketry.schema.codec import Document

MOST_DAYS = 36_500
MOST_KEPT = 1_000_000
MOST_LABELS = 8
LONGEST_LABEL = 64
LARGEST_RULES_BYTES = 4_096


@frozen
class Retention:
    """Which versions go: those older than so many days (0: none ever) that nothing here keeps and that nobody served.

    `keep_newest` counts the versions that are there. A label is `name`, or `name=value`.
    """

    delete_after_days: int
    keep_newest: int = 1
    keep_promoted: bool = True
    keep_approved: bool = True
    keep_labels: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)

    def to_document(self) -> Document:
        """Return the JSON form."""
        return dict(self.extra) | {
            "delete_after_days": self.delete_after_days,
            "keep_newest": self.keep_newest,
            "keep_promoted": self.keep_promoted,
            "keep_approved": self.keep_approved,
            "keep_labels": list(self.keep_labels),
        }


def parse_retention_toml(text: str, *, what: str) -> Retention:
    """Return the rules of a file that a user gives; raise `UsageError` naming the file, the key and what is wrong."""
    import tomllib  # noqa: PLC0415 - only `retention set` reads TOML

    if len(text) > LARGEST_RULES_BYTES:
        raise UsageError(f"{what} is larger than {LARGEST_RULES_BYTES:,} bytes", advice="state the rules alone")
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{what} is not TOML: {error}", advice="see `bucketry retention set --help`") from error
    check_keys(table, tuple(_READERS), what=what)
    return _read(table, what)


def read_retention(document: object, *, what: str) -> Retention | None:
    """Return the rules in a register, or None where there are none; raise `CorruptError`."""
    if document is None:
        return None
    if not isinstance(document, dict):
        raise CorruptError(f"{what} is not a table of retention rules")
    try:
        rules = _read(document, what)
    except UsageError as error:
        raise CorruptError(error.message) from error
    extra = {name: value for name, value in document.items() if name not in _READERS}
    return Retention(
        rules.delete_after_days,
        rules.keep_newest,
        rules.keep_promoted,
        rules.keep_approved,
        rules.keep_labels,
        extra,
    )


def _read(table: Mapping[str, object], what: str) -> Retention:
    if "delete_after_days" not in table:
        raise UsageError(f"{what} does not say delete_after_days", advice="0 means that nothing is ever deleted")
    stated = {name: read(table[name], f"{what}: {name}") for name, read in _READERS.items() if name in table}
    return Retention(**stated)  # type: ignore[arg-type]  # each reader returns what its field holds


def _read_labels(value: object, what: str) -> tuple[str, ...]:
    labels = read_texts(value, what, most=MOST_LABELS)
    for label in labels:
        if not label.partition("=")[0] or len(label) > LONGEST_LABEL:
            raise UsageError(f"{what}: {label[:LONGEST_LABEL]!a} is no label", advice="write name or name=value")
    return labels


_READERS: dict[str, Callable[[object, str], object]] = {
    "delete_after_days": lambda value, what: read_whole(value, what, least=0, most=MOST_DAYS),
    "keep_newest": lambda value, what: read_whole(value, what, least=0, most=MOST_KEPT),
    "keep_promoted": read_flag,
    "keep_approved": read_flag,
    "keep_labels": _read_labels,
}
"""How each key is read; the names are those of the fields."""
