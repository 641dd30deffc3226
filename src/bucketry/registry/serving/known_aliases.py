"""What a model's aliases name now: one GET each, many at once; one that cannot be read hides no other.

Apart from what moves them, because every list of versions reads them and loads nothing of reviews and gates for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, reason_of
from bucketry.frozen import frozen
from bucketry.registry.core.registers import load_alias
from bucketry.schema.documents.alias import AliasRegister

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head
    from bucketry.schema.names import AliasName, ModelName


@frozen
class KnownAliases:
    """The aliases of a model that name a version, and, by name, why others cannot be read."""

    registers: tuple[AliasRegister, ...]
    damaged: Mapping[AliasName, str]


def load_aliases(session: Session, head: Head) -> tuple[AliasRegister, ...]:
    """Return the registers of all aliases that name a version, one GET each, but for those that are damaged."""
    return look_at_aliases(session, head.model, head.aliases).registers


def look_at_aliases(session: Session, model: ModelName, names: Sequence[AliasName]) -> KnownAliases:
    """Return what these aliases name, one GET each, in parallel; one that cannot be read stops no other."""

    def look(alias: AliasName) -> AliasRegister | str | None:
        try:
            return load_alias(session, model, alias).state
        except UNREADABLE as error:
            return reason_of(error)

    found = dict(zip(names, session.map_in_parallel(look, names), strict=True))
    return KnownAliases(
        tuple(one for one in found.values() if isinstance(one, AliasRegister) and one.target is not None),
        {alias: why for alias, why in found.items() if isinstance(why, str)},
    )
