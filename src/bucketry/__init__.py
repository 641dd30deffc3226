"""Bucketry: a serverless model registry. The registry is plain JSON and artifacts in a bucket.

    reader = bucketry.open_reader("s3://models/prod")
    path = reader.pull("acme/chat@production", "/models/chat")

Importing this imports nothing heavy: names are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bucketry.client import Reader, Registry, open_reader
    from bucketry.client import open_registry as open  # noqa: A004 - `bucketry.open` reads as it should
    from bucketry.errors import (
        BucketryError,
        CommitUnknownError,
        ContendedError,
        CorruptError,
        DeniedError,
        NotFoundError,
        RefusedVersionWarning,
        RejectedError,
        UnavailableError,
        UnsupportedError,
        UsageError,
    )
    from bucketry.interop.evidence.paths import read_evidence
    from bucketry.schema.documents.evidence import Confidence, Evidence, Metric
    from bucketry.schema.documents.manifest import Lineage, Training
    from bucketry.version import __version__ as __version__


__all__ = [
    "BucketryError",
    "CommitUnknownError",
    "Confidence",
    "ContendedError",
    "CorruptError",
    "DeniedError",
    "Evidence",
    "Lineage",
    "Metric",
    "NotFoundError",
    "Reader",
    "RefusedVersionWarning",
    "Registry",
    "RejectedError",
    "Training",
    "UnavailableError",
    "UnsupportedError",
    "UsageError",
    "open",
    "open_reader",
    "read_evidence",
]

_CLIENT = {"Reader": "Reader", "Registry": "Registry", "open": "open_registry", "open_reader": "open_reader"}
_STATED = {"Confidence": "evidence", "Evidence": "evidence", "Metric": "evidence"}
_STATED |= {"Lineage": "manifest", "Training": "manifest"}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("bucketry.version").__version__
    if name not in __all__:
        raise AttributeError(f"module 'bucketry' has no attribute {name!r}")
    if name == "read_evidence":
        return import_module("bucketry.interop.evidence.paths").read_evidence
    if name in _CLIENT:
        return getattr(import_module("bucketry.client"), _CLIENT[name])
    if name in _STATED:
        return getattr(import_module(f"bucketry.schema.documents.{_STATED[name]}"), name)
    return getattr(import_module("bucketry.errors"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
