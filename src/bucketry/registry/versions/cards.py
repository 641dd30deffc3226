"""What does a version's model card say?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.registry.core.artifacts import open_artifact
from bucketry.registry.core.resolve import resolve

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import Reference

MOST_CARD_BYTES = 1024 * 1024


@frozen
class Card:
    """The card's file and text, exactly as it was published. `is_cut`: there is more, and none of it was verified."""

    path: str
    text: str
    is_cut: bool


def find_card(session: Session, reference: Reference) -> Card | None:
    """Return the card of a version, or None for a version without one; at most 1 MiB of it is read."""
    resolved = resolve(session, reference)
    path = resolved.manifest.card
    if path is None:
        return None
    with open_artifact(session, resolved, path, allow_rejected=True) as file:  # to be read, not to be served
        size_bytes = min(file.size_bytes, MOST_CARD_BYTES)
        content = file.read_range(0, size_bytes)
    return Card(path, content.decode("utf-8", errors="replace"), is_cut=size_bytes < file.size_bytes)
