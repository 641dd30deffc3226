"""The manifest of a version: the immutable document whose SHA-256 is the version's identity.

It has no version number: the number is given by the commit, and a decision binds to the manifest's digest.
"""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, RejectedError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.codec import FORMAT, LONGEST_TEXT, Document, Fields, decode, encode, without_empty
from bucketry.schema.documents.audit import parse_time
from bucketry.schema.documents.evidence import Evidence, read_evidence
from bucketry.schema.names import LARGEST_INTEGER, Digest, ModelName, parse_digest, parse_model_name
from bucketry.schema.paths import check_paths_together, is_plain_artifact_path, parse_artifact_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_ARTIFACTS = 20_000
MOST_CHUNKS = 20_000
_PLAIN_FIELDS = {"path", "size_bytes", "sha256", "media_type", "chunks"}
_PLAIN_CHUNK_FIELDS = {"size_bytes", "sha256", "xxh3_128"}
_PLAIN_DIGEST = re.compile("[0-9a-f]{64}")
_PLAIN_DIGESTS = re.compile("[0-9a-f]{64} [0-9a-f]{64} [0-9a-f]{32}")
RELATIONS = ("adapter", "finetune", "quantized", "merge", "distilled")


@frozen
class Chunks:
    """An artifact in equal chunks (the last may be shorter): digests as lower-case hexadecimal, in order."""

    size_bytes: int
    sha256: tuple[str, ...]
    xxh3_128: tuple[str, ...]


@frozen
class Artifact:
    """One named file of a version."""

    path: str
    size_bytes: int
    sha256: Digest
    media_type: str
    chunks: Chunks
    extra: Mapping[str, object] = field(default_factory=dict)

    def to_document(self) -> Document:
        """Return the JSON form."""
        return dict(self.extra) | {
            "path": self.path,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "media_type": self.media_type,
            "chunks": {
                "size_bytes": self.chunks.size_bytes,
                "sha256": list(self.chunks.sha256),
                "xxh3_128": list(self.chunks.xxh3_128),
            },
        }


@frozen
class Parent:
    """A version that this one was made from."""

    model: ModelName
    version: int
    manifest: Digest
    relation: str
    extra: Mapping[str, object] = field(default_factory=dict)

    def to_document(self) -> Document:
        """Return the JSON form."""
        return dict(self.extra) | {
            "model": str(self.model),
            "version": self.version,
            "manifest": self.manifest,
            "relation": self.relation,
        }


@frozen
class Training:
    """How the version was made: enough to make it again. Durations in seconds, cost as the user states it.

    `environment` is what somebody said that it was trained in; `published_from` what the publishing process ran in,
    which need not be the same.
    """

    hyperparameters: Mapping[str, object] = field(default_factory=dict)
    datasets: tuple[Mapping[str, object], ...] = ()
    started_at: str | None = None
    duration_seconds: float | None = None
    command: str | None = None
    environment: Mapping[str, object] = field(default_factory=dict)
    framework: str | None = None
    hardware: str | None = None
    seed: int | None = None
    cost: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    published_from: Mapping[str, object] = field(default_factory=dict)

    def to_document(self) -> Document:
        """Return the JSON form, without the fields that are empty."""
        return dict(self.extra) | without_empty(
            {
                "hyperparameters": dict(self.hyperparameters),
                "datasets": [dict(dataset) for dataset in self.datasets],
                "started_at": self.started_at,
                "duration_seconds": self.duration_seconds,
                "command": self.command,
                "environment": dict(self.environment),
                "published_from": dict(self.published_from),
                "framework": self.framework,
                "hardware": self.hardware,
                "seed": self.seed,
                "cost": self.cost,
            }
        )


@frozen
class Lineage:
    """Where the version comes from: experiment, run, commit, pipeline and parents."""

    experiment: str | None = None
    run: str | None = None
    code: Mapping[str, object] = field(default_factory=dict)
    pipeline: Mapping[str, object] = field(default_factory=dict)
    parents: tuple[Parent, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)

    def to_document(self) -> Document:
        """Return the JSON form, without the fields that are empty."""
        return dict(self.extra) | without_empty(
            {
                "experiment": self.experiment,
                "run": self.run,
                "code": dict(self.code),
                "pipeline": dict(self.pipeline),
                "parents": [parent.to_document() for parent in self.parents],
            }
        )


@frozen
class Manifest:
    """An immutable version. `card` is the path of the model card among the artifacts, if there is one."""

    model: ModelName
    created_at: str
    created_by: str
    artifacts: tuple[Artifact, ...]
    training: Training = field(default_factory=Training)
    lineage: Lineage = field(default_factory=Lineage)
    evidence_at_publish: tuple[Evidence, ...] = ()
    card: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    notes: str = ""
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """The sum of all artifacts."""
        return sum(artifact.size_bytes for artifact in self.artifacts)

    def to_document(self) -> Document:
        """Return the JSON form."""
        return (
            dict(self.extra)
            | {
                "format": FORMAT,
                "model": str(self.model),
                "created_at": self.created_at,
                "created_by": self.created_by,
                "artifacts": [artifact.to_document() for artifact in self.artifacts],
            }
            | without_empty(
                {
                    "training": self.training.to_document(),
                    "lineage": self.lineage.to_document(),
                    "evidence_at_publish": [item.to_document() for item in self.evidence_at_publish],
                    "card": self.card,
                    "labels": dict(self.labels),
                    "notes": self.notes,
                }
            )
        )


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the manifest's bytes, whose SHA-256 names it; raise `RejectedError` beyond the limits."""
    chunks = sum(len(artifact.chunks.sha256) for artifact in manifest.artifacts)
    check_limits([artifact.size_bytes for artifact in manifest.artifacts], chunks=chunks)
    return encode(manifest.to_document())


def decode_manifest(body: bytes, *, what: str, model: ModelName | None = None) -> Manifest:
    """Return the manifest; raise `CorruptError`, also for a path that must never reach a disk.

    With a `model` also for the manifest of any other one: its versions are not this model's, whatever names them.
    """
    fields = Fields(decode(body, what=what), what=what)
    named = fields.parsed("model", parse_model_name)
    if model is not None and named != model:
        raise CorruptError(
            f"{what} is the manifest of {named}, not of {model}",
            advice="run `bucketry fsck`; put back what belongs there from the bucket's versions or from a mirror",
        )
    artifacts = tuple(
        _find_plain_artifact(inner.rest()) or _read_any_artifact(inner)
        for inner in fields.consumed_inners("artifacts", most=MOST_ARTIFACTS)
    )
    try:
        check_paths_together(artifact.path for artifact in artifacts)
    except UsageError as error:
        raise CorruptError(f"{what}: {error.message}") from error
    return Manifest(
        model=named,
        created_at=fields.parsed("created_at", parse_time),
        created_by=fields.text("created_by"),
        artifacts=artifacts,
        training=_read_training(fields.inner("training")),
        lineage=_read_lineage(fields.inner("lineage")),
        evidence_at_publish=tuple(read_evidence(inner) for inner in fields.inners("evidence_at_publish")),
        card=fields.optional_text("card"),
        labels=fields.texts("labels"),
        notes=fields.text("notes", default=""),
        extra=fields.rest(),
    )


def read_artifact_digests(body: bytes, *, what: str, model: ModelName) -> list[tuple[Digest, int]]:
    """Return digest and size of each artifact in their order: all of a manifest that says which bytes it needs.

    For walks over all versions: a tenth of the time of `decode_manifest`, which reads whatever is not plain.
    """
    document = decode(body, what=what)
    artifacts = document.get("artifacts")
    if document.get("model") == str(model) and type(artifacts) is list and all(map(_is_plain_blob, artifacts)):
        return [(each["sha256"], each["size_bytes"]) for each in artifacts]
    return [(each.sha256, each.size_bytes) for each in decode_manifest(body, what=what, model=model).artifacts]


def _is_plain_blob(document: object) -> bool:
    if type(document) is not dict:
        return False
    sha256, size_bytes = document.get("sha256"), document.get("size_bytes")
    is_digest = type(sha256) is str and _PLAIN_DIGEST.fullmatch(sha256) is not None
    return is_digest and type(size_bytes) is int and size_bytes >= 0


def check_limits(sizes_bytes: Sequence[int], *, chunks: int) -> None:
    """Raise `RejectedError` for a version that is empty or too large, before anything is uploaded."""
    if not sizes_bytes:
        raise RejectedError("there is no file to publish", advice="name a file, or a folder that is not empty")
    if len(sizes_bytes) > MOST_ARTIFACTS:
        raise RejectedError(f"{len(sizes_bytes):,} files are over the limit of {MOST_ARTIFACTS:,}")
    if chunks > MOST_CHUNKS + len(sizes_bytes):
        raise RejectedError(f"{chunks:,} chunks are over the limit of {MOST_CHUNKS:,}")


def _find_plain_artifact(document: Document) -> Artifact | None:
    """Return a file of one chunk, without fields of a newer program; None for all else, which is read with care.

    Of thousands of files most are such, and take a third of the time.
    """
    chunks = document.get("chunks")
    if document.keys() != _PLAIN_FIELDS or type(chunks) is not dict or chunks.keys() != _PLAIN_CHUNK_FIELDS:
        return None
    path, media_type, sha256 = document["path"], document["media_type"], document["sha256"]
    size_bytes, chunk_bytes = document["size_bytes"], chunks["size_bytes"]
    sha256s, xxh3s = chunks["sha256"], chunks["xxh3_128"]
    # Not isinstance: to it, true is an integer.
    if not (
        type(path) is type(media_type) is type(sha256) is str
        and type(size_bytes) is type(chunk_bytes) is int
        and type(sha256s) is type(xxh3s) is list
        and len(sha256s) == len(xxh3s) == 1
        and type(sha256s[0]) is type(xxh3s[0]) is str
    ):
        return None
    if not 0 < size_bytes <= chunk_bytes or len(media_type) > LONGEST_TEXT or not is_plain_artifact_path(path):
        return None
    if not _PLAIN_DIGESTS.fullmatch(f"{sha256} {sha256s[0]} {xxh3s[0]}"):
        return None
    return Artifact(path, size_bytes, Digest(sha256), media_type, Chunks(chunk_bytes, tuple(sha256s), tuple(xxh3s)))


def _read_any_artifact(fields: Fields) -> Artifact:
    chunks = fields.inner("chunks")
    size_bytes, chunk_bytes = fields.integer("size_bytes"), chunks.integer("size_bytes", least=1)
    expected = -(-size_bytes // chunk_bytes)
    sha256, xxh3 = tuple(chunks.items("sha256")), tuple(chunks.items("xxh3_128"))
    if len(sha256) != expected or len(xxh3) != expected:
        raise CorruptError(f"{fields.what}: a file of {size_bytes:,} bytes does not have {expected} chunk digests")
    for text, length in [(text, 64) for text in sha256] + [(text, 32) for text in xxh3]:
        if not isinstance(text, str) or len(text) != length or set(text) - set("0123456789abcdef"):
            raise CorruptError(f"{fields.what}: a chunk digest is not {length} hexadecimal digits")
    return Artifact(
        path=fields.parsed("path", parse_artifact_path),
        size_bytes=size_bytes,
        sha256=fields.parsed("sha256", parse_digest),
        media_type=fields.text("media_type", default="application/octet-stream"),
        chunks=Chunks(chunk_bytes, sha256, xxh3),
        extra=fields.rest(),
    )


def _read_training(fields: Fields) -> Training:
    return Training(
        hyperparameters=fields.table("hyperparameters"),
        datasets=tuple(inner.rest() for inner in fields.inners("datasets")),
        started_at=fields.optional_text("started_at"),
        duration_seconds=fields.optional_number("duration_seconds"),
        command=fields.optional_text("command"),
        environment=fields.table("environment"),
        published_from=fields.table("published_from"),
        framework=fields.optional_text("framework"),
        hardware=fields.optional_text("hardware"),
        seed=fields.optional_integer("seed", least=-LARGEST_INTEGER),
        cost=fields.optional_text("cost"),
        extra=fields.rest(),
    )


def _read_lineage(fields: Fields) -> Lineage:
    return Lineage(
        experiment=fields.optional_text("experiment"),
        run=fields.optional_text("run"),
        code=fields.table("code"),
        pipeline=fields.table("pipeline"),
        parents=tuple(
            Parent(
                model=inner.parsed("model", parse_model_name),
                version=inner.integer("version", least=1),
                manifest=inner.digest("manifest"),
                relation=inner.text("relation"),
                extra=inner.rest(),
            )
            for inner in fields.inners("parents")
        ),
        extra=fields.rest(),
    )
