"""What a reference named: a version's identity and content, and the refusals that its alias carries.

A value of its own, beneath the session: what judges a version and what reads one both take it, and neither needs to
know how it was looked up (`resolve.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import NotFoundError
from bucketry.frozen import frozen
from bucketry.schema import keys
from bucketry.schema.documents.placement import Placement, decode_placement

if TYPE_CHECKING:
    from bucketry.schema.codec import Document
    from bucketry.schema.documents.manifest import Artifact, Manifest
    from bucketry.schema.documents.reviews import Action
    from bucketry.schema.documents.states import State
    from bucketry.schema.names import AliasName, Digest, ModelName


@frozen
class Refusal:
    """One decision against a version: who made it, when, and the reason that they gave."""

    action: Action
    principal: str
    at: str
    reason: str

    def to_document(self) -> Document:
        """Return it as `--json` shows it."""
        return {"action": self.action.value, "by": self.principal, "at": self.at, "reason": self.reason}


@frozen
class ResolvedVersion:
    """A version's identity and content, as one reference named it.

    `alias` and `generation` are set where the reference was an alias (the generation of its register); `state` is
    then the version's state when the alias was set, or rejected since then, otherwise its state now. `refusals` are
    those that the alias carries; by any other reference they are looked up only by who asks for them.
    """

    model: ModelName
    version: int
    digest: Digest
    state: State
    placement: Placement
    manifest: Manifest
    alias: AliasName | None = None
    generation: int | None = None
    refusals: tuple[Refusal, ...] = ()

    @property
    def size_bytes(self) -> int:
        """The sum of all artifacts."""
        return self.manifest.size_bytes

    def blob_keys(self) -> dict[str, str]:
        """Return where each artifact's bytes lie, by its path."""
        artifacts = self.manifest.artifacts
        epochs = decode_placement(self.placement, artifacts=len(artifacts), what=f"{self.model}:{self.version}")
        return {
            artifact.path: keys.blob(self.model, epoch, artifact.sha256)
            for artifact, epoch in zip(artifacts, epochs, strict=True)
        }

    def artifact(self, path: str) -> Artifact:
        """Return the artifact at a path; raise `NotFoundError`."""
        for artifact in self.manifest.artifacts:
            if artifact.path == path:
                return artifact
        raise NotFoundError(
            f"{self.model}:{self.version} has no file {path!a}",
            advice=f"see `bucketry show {self.model}:{self.version}`",
        )
