"""The grammar of names: what a model, an alias, a version or a reference may be called.

One grammar, on the way in and on the way out. Names are rejected, never normalised.
"""

import re
from dataclasses import dataclass
from typing import NewType

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.schema.text import displayable, needed_text

DEFAULT_NAMESPACE = "default"
LARGEST_INTEGER = 2**53 - 1

Digest = NewType("Digest", str)
"""A SHA-256 as 64 lower-case hexadecimal characters."""

AliasName = NewType("AliasName", str)

_PART = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,94}[a-z0-9])?")
_ALIAS = re.compile(r"[a-z][a-z0-9-]{0,62}")
_VERSION = re.compile(r"[1-9][0-9]{0,15}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{kind}{number}" for kind in ("com", "lpt") for number in "0123456789¹²³"]
)


@dataclass(frozen=True, slots=True, order=True)
class ModelName:
    """A model's name: a namespace (`default` if none was written) and a name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return self.name if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}/{self.name}"


@frozen
class Newest:
    """`model`: the version with the highest number that is not deleted."""


@frozen
class Latest:
    """`model@latest`: the newest version that is neither retired nor rejected."""


@frozen
class ByVersion:
    """`model:7`."""

    version: int


@frozen
class ByAlias:
    """`model@production`."""

    alias: AliasName


@frozen
class ByManifest:
    """`model@sha256:<manifest>`."""

    manifest: Digest


Selector = Newest | Latest | ByVersion | ByAlias | ByManifest


@frozen
class Reference:
    """Which version of which model is meant."""

    model: ModelName
    selector: Selector

    def __str__(self) -> str:
        match self.selector:
            case Newest():
                return str(self.model)
            case Latest():
                return f"{self.model}@latest"
            case ByVersion(version):
                return f"{self.model}:{version}"
            case ByAlias(alias):
                return f"{self.model}@{alias}"
            case ByManifest(manifest):
                return f"{self.model}@sha256:{manifest}"


def parse_model_name(text: str) -> ModelName:
    """Return the name in `name` or `namespace/name`; raise `UsageError`."""
    namespace, slash, name = needed_text(text, "a model name").rpartition("/")
    if not slash:
        namespace = DEFAULT_NAMESPACE
    for part in (namespace, name):
        reason = _fault_in_part(part)
        if reason:
            raise UsageError(
                f'"{displayable(text)}" is not a model name: {reason}',
                advice="write name or namespace/name in a-z, 0-9, '.', '_', '-', each part at most 96 characters",
            )
    return ModelName(namespace, name)


def parse_alias(text: str) -> AliasName:
    """Return the alias; raise `UsageError`."""
    if not _ALIAS.fullmatch(needed_text(text, "an alias")) or text == "latest" or re.fullmatch(r"v[0-9]+", text):
        raise UsageError(
            f'"{displayable(text)}" is not an alias',
            advice="start with a letter, use a-z, 0-9 and '-', at most 63; 'latest' and 'v7' are taken",
        )
    return AliasName(text)


def parse_version(text: str) -> int:
    """Return the version number; raise `UsageError`."""
    if not _VERSION.fullmatch(needed_text(text, "a version number")) or int(text) > LARGEST_INTEGER:
        raise UsageError(f'"{displayable(text)}" is not a version number', advice="write 1, 2, 3 ...")
    return int(text)


def parse_digest(text: str) -> Digest:
    """Return the SHA-256; raise `UsageError`."""
    if not _DIGEST.fullmatch(needed_text(text, "a SHA-256")):
        raise UsageError(
            f'"{displayable(text)}" is not a SHA-256', advice="write its 64 hexadecimal digits in lower case"
        )
    return Digest(text)


def parse_reference(text: str) -> Reference:
    """Return the reference in `model`, `model:7`, `model@alias`, `model@latest` or `model@sha256:<digest>`."""
    model, at, target = needed_text(text, "a reference").partition("@")
    if at:
        name = parse_model_name(model)
        if target == "latest":
            return Reference(name, Latest())
        kind, colon, digest = target.partition(":")
        is_digest = colon and kind == "sha256"
        return Reference(name, ByManifest(parse_digest(digest)) if is_digest else ByAlias(parse_alias(target)))
    model, colon, number = text.partition(":")
    if colon:
        return Reference(parse_model_name(model), ByVersion(parse_version(number)))
    return Reference(parse_model_name(text), Newest())


def _fault_in_part(part: str) -> str:
    if not _PART.fullmatch(part):
        return f'"{displayable(part)}" has a character, a length, or a first or last character that is not allowed'
    if ".." in part:
        return '".." is not allowed'
    if part.partition(".")[0] in WINDOWS_DEVICES:
        return f'"{part.partition(".")[0]}" is a device name on Windows'
    if part.startswith("sha256-"):
        return 'it starts with "sha256-"'
    return ""
