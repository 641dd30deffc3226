"""How does a registry of these tests get a version with real files: a card, tensors, parents?"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bucketry.registry.core.resolve import resolve
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.schema import keys
from bucketry.schema.documents.manifest import Artifact, Chunks, Lineage, Manifest, Parent, Training
from bucketry.schema.names import ByVersion, Digest, Reference
from registry.safetensors_files import make_tensors
from tui.desk import RISK, TRAINER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.schema.names import ModelName
    from tui.desk import Registry

CHUNK_BYTES = 16 * 1024 * 1024
TENSORS = make_tensors(
    {
        "model.embed_tokens.weight": ("BF16", [8, 4], b"\1" * 64),
        "model.layers.0.self_attn.q_proj.weight": ("F32", [4, 4], b"\2" * 64),
        "step": ("I64", [], b"\3" * 8),
    }
)
CARD = """---
license: apache-2.0
---
# Card-fraud scorer

Fine-tuned on October data. **Not** for credit limits; see [the paper](https://example.org/paper).

## Known weak spots

- age band 18-25, where recall fell by .038 against the version that serves production now
- ~~long inputs~~

| slice | n | recall |
|-------|--:|-------:|
| 18-25 | 3,120 | .566 |
| 26-40 | 19,870 | .638 |

```python
score = model(transaction)
```

<!-- a comment that a browser hides -->
"""


def publish_files(
    registry: Registry,
    files: Mapping[str, bytes],
    *,
    model: ModelName = RISK,
    card: str | None = None,
    parents: Sequence[tuple[ModelName, int, str]] = (),
    training: Training | None = None,
    lineage: Lineage | None = None,
) -> int:
    """Publish a version with these files, and return its number."""
    session = registry.session(TRAINER)
    named = [Parent(name, number, _digest_of(session, name, number), relation) for name, number, relation in parents]
    given = lineage or Lineage()
    manifest = Manifest(
        model=model,
        created_at=session.clock.timestamp(),
        created_by=TRAINER,
        artifacts=tuple(_artifact(path, content) for path, content in files.items()),
        training=training or Training(),
        lineage=Lineage(given.experiment, given.run, given.code, given.pipeline, tuple(named)),
        card=card,
    )
    return register_version(session, PreparedVersion(manifest), _Uploader(session, model, files)).version


def _digest_of(session: Session, model: ModelName, version: int) -> Digest:
    return resolve(session, Reference(model, ByVersion(version))).digest


def _artifact(path: str, content: bytes) -> Artifact:
    digest = hashlib.sha256(content).hexdigest()
    chunks = Chunks(CHUNK_BYTES, (digest,) if content else (), ("0" * 32,) if content else ())
    kind = "text/markdown" if path.endswith(".md") else "application/octet-stream"
    return Artifact(path, len(content), Digest(digest), kind, chunks)


@dataclass(frozen=True, slots=True)
class _Uploader:
    session: Session
    model: ModelName
    files: Mapping[str, bytes]

    def __call__(self, epoch: int, artifacts: Sequence[Artifact]) -> int:
        contents = {hashlib.sha256(content).hexdigest(): content for content in self.files.values()}
        for artifact in artifacts:
            key = keys.blob(self.model, epoch, artifact.sha256)
            self.session.store.put_blob(key, memoryview(contents[artifact.sha256]))
        return sum(artifact.size_bytes for artifact in artifacts)
