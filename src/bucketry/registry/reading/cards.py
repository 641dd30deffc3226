"""Reads the model card of a version, once for all who look at it: screens, comparisons and the gate on its sections.

It is read whoever refused the version: to be looked at, not to be served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.registry.core.artifacts import open_artifact
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.cards import LARGEST_CARD_BYTES

if TYPE_CHECKING:
    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session


@frozen
class Card:
    """The card's file and its bytes. `is_cut`: there is more than these, and none of them were verified."""

    path: str
    body: bytes
    is_cut: bool = False

    @property
    def text(self) -> str:
        """What is shown; bytes that are no text are replaced."""
        return self.body.decode("utf-8", errors="replace")

    @property
    def whole_text(self) -> str | None:
        """What is judged and compared; None where the card is cut or no text."""
        try:
            return None if self.is_cut else self.body.decode("utf-8")
        except UnicodeDecodeError:
            return None


def find_card(session: Session, resolved: ResolvedVersion) -> Card | None:
    """Return the card of a version, or None for a version without one; at most 1 MiB of it is read."""
    path = resolved.manifest.card
    artifact = next((artifact for artifact in resolved.manifest.artifacts if artifact.path == path), None)
    if artifact is None:
        return None
    size_bytes = min(artifact.size_bytes, LARGEST_CARD_BYTES)
    is_cut = size_bytes < artifact.size_bytes
    body = None if is_cut else session.documents.find(artifact.sha256)
    if body is None:
        with open_artifact(session, resolved, artifact.path, allow_rejected=True) as file:
            body = file.read_range(0, size_bytes)
        if not is_cut:
            if digest_of(body) != artifact.sha256:  # or a manifest could put its text in another document's place
                raise CorruptError(
                    f"{artifact.path!a} is not the file that its manifest names", advice="run `bucketry fsck`"
                )
            session.documents.remember(artifact.sha256, body)
    return Card(artifact.path, body, is_cut)
