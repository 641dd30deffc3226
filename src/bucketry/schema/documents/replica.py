"""What a copy of a registry says of itself, and what a mirror saw when it made it.

A replica keeps the registry's id and all that was decided in it, so that signatures hold; what makes it a replica is
in its `registry.json` alone. What the mirror saw of each register saves the next mirror reading it again.
"""

from __future__ import annotations

from dataclasses import field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.schema.codec import FORMAT, Document, Fields, decode, encode
from bucketry.schema.names import AliasName, parse_alias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.schema.names import ModelName

MOST_PATTERNS = 256
MOST_SEEN = 20_000
"""So many registers one document of what was seen has: some 4 MB."""


@frozen
class Selection:
    """Which part of a registry a replica holds: of all models or those that match, all bytes or those of some aliases.

    Registers, manifests and history of a model are always whole.
    """

    models: tuple[str, ...] = ()
    aliases: tuple[AliasName, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return not self.models and not self.aliases

    def holds_model(self, model: ModelName) -> bool:
        """Return whether a model belongs to it."""
        return not self.models or any(fnmatchcase(str(model), pattern) for pattern in self.models)

    def holds_bytes_of(self, alias: AliasName) -> bool:
        """Return whether the bytes of what an alias names belong to it."""
        return not self.aliases or alias in self.aliases

    def to_document(self) -> Document:
        """Return the JSON form."""
        return {"models": list(self.models), "aliases": list(self.aliases)}

    def __str__(self) -> str:
        """Return it in words."""
        if self.is_whole:
            return "everything"
        models = f"the models {', '.join(self.models)}" if self.models else "all models"
        return f"{models}, with the files of {', '.join(self.aliases)}" if self.aliases else models


@frozen
class Replica:
    """What makes a registry a replica: whose, of what, and whether a mirror has ever brought all of it.

    `run` is the id of the mirror that set this last; `endpoints` are those that were found to keep their promises.
    """

    source: str
    selection: Selection = field(default_factory=Selection)
    complete: bool = False
    run: str = ""
    endpoints: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)

    def to_document(self) -> Document:
        """Return the JSON form."""
        return dict(self.extra) | {
            "source": self.source,
            "selection": self.selection.to_document(),
            "complete": self.complete,
            "run": self.run,
            "endpoints": list(self.endpoints),
        }


@frozen
class SeenRegisters:
    """Of each register by its key, which ETag the source had and which the replica, when both held the same bytes.

    `source` is the place that was mirrored; what was seen of another, or for another selection, says nothing.
    """

    source: str
    selection: Selection
    etags: Mapping[str, tuple[str, str]]


def read_replica(fields: Fields) -> Replica:
    """Return what makes a registry a replica."""
    return Replica(
        source=fields.text("source"),
        selection=_read_selection(fields.inner("selection")),
        complete=fields.flag("complete"),
        run=fields.text("run"),
        endpoints=tuple(str(name) for name in fields.items("endpoints", most=MOST_PATTERNS)),
        extra=fields.rest(),
    )


def encode_seen(seen: SeenRegisters) -> bytes:
    """Return the bytes of what was seen of some registers."""
    return encode(
        {
            "format": FORMAT,
            "source": seen.source,
            "selection": seen.selection.to_document(),
            "registers": {key: list(pair) for key, pair in seen.etags.items()},
        }
    )


def decode_seen(body: bytes, *, what: str) -> SeenRegisters:
    """Return what was seen; raise `CorruptError`."""
    fields = Fields(decode(body, what=what), what=what)
    etags: dict[str, tuple[str, str]] = {}
    for key, pair in fields.table("registers").items():
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)):
            raise CorruptError(f"{what}: what was seen of a register is not two ETags")
        etags[key] = (pair[0], pair[1])
    return SeenRegisters(fields.text("source"), _read_selection(fields.inner("selection")), etags)


def _read_selection(fields: Fields) -> Selection:
    return Selection(
        models=tuple(str(pattern) for pattern in fields.items("models", most=MOST_PATTERNS)),
        aliases=tuple(
            Fields({"alias": name}, what=f"{fields.what}: aliases").parsed("alias", parse_alias)
            for name in fields.items("aliases", most=MOST_PATTERNS)
        ),
    )
