"""The receipt of an instance: which version it serves, and how that compares with what its alias names.

A receipt is a claim by whoever may write below `deployments/`: it is shown and compared, and nothing relies on it.
"""

from __future__ import annotations

import re
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UsageError
from bucketry.frozen import frozen
from bucketry.schema import keys
from bucketry.schema.codec import FORMAT, Fields, decode, encode
from bucketry.schema.documents.audit import parse_actor, parse_time
from bucketry.schema.documents.states import State
from bucketry.schema.names import AliasName, Digest, ModelName, parse_alias, parse_model_name
from bucketry.schema.text import displayable, needed_text

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_DEPLOYMENT_BYTES = 16 * 1024
LONGEST_CLIENT = 64
VERIFICATIONS = ("sha256", "fast", "trust")
"""How the bytes were verified: by SHA-256, by XXH3, or by SHA-256 and with signed approvals that a trust file asks."""
REFUSED_STATES = frozenset({State.REJECTED, State.DELETING, State.DELETED})

_PLACE = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,94}[a-z0-9])?")
_NOT_OF_PLACES = re.compile(r"[^a-z0-9._-]+")


class DeploymentStanding(StrEnum):
    """How what an instance serves compares with what its alias names now.

    `behind`: the alias has moved on. `ahead`: the instance saw a generation that this registry does not have yet, as
    beside a replica that lags. `refused`: the version was rejected or deleted, whatever the alias names. `pinned`: it
    was reported by number, so no alias is asked. `unknown`: there is no such alias or version here, or the two do not
    fit together. `damaged`: what lies there is no receipt.
    """

    CURRENT = "current"
    BEHIND = "behind"
    AHEAD = "ahead"
    REFUSED = "refused"
    PINNED = "pinned"
    UNKNOWN = "unknown"
    DAMAGED = "damaged"


@frozen
class Place:
    """Where a version is served: an environment, and one instance in it."""

    environment: str
    instance: str


@frozen
class Deployment:
    """One instance's receipt. `alias` and `generation` are of the alias that it follows, None where it follows none.

    `at` is when it was reported and `pulled_at` when the bytes came, both by the instance's own clock. `complete` is
    False where only some of the version's files were pulled.
    """

    registry: str
    model: ModelName
    version: int
    manifest: Digest
    place: Place
    actor: str
    at: str
    verified: str
    files: int
    size_bytes: int
    complete: bool
    client: str
    alias: AliasName | None = None
    generation: int | None = None
    pulled_at: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Where the receipt lies."""
        return keys.deployment(self.model, self.place.environment, self.place.instance)


def parse_place_part(text: str, *, what: str) -> str:
    """Return an environment's or an instance's name; raise `UsageError`."""
    if not _PLACE.fullmatch(needed_text(text, f"the name of an {what}")) or ".." in text:
        raise UsageError(
            f'"{displayable(text[:120])}" is not the name of an {what}',
            advice="use a-z, 0-9, '.', '_' and '-', at most 96, with a letter or a digit at both ends",
        )
    return text


def instance_of_host(hostname: str) -> str:
    """Return a host's name as the name of an instance; raise `UsageError` where nothing of it is left."""
    plain = _NOT_OF_PLACES.sub("-", hostname.lower()).replace("..", "-").strip("._-")[:96].strip("._-")
    if not plain:
        raise UsageError("this host has no name", advice="name the instance with --instance")
    return parse_place_part(plain, what="instance")


def place_of_key(key: str) -> tuple[ModelName, Place]:
    """Return whose receipt lies at a key; raise `UsageError` for a key that is nobody's."""
    parts = key.removeprefix(keys.DEPLOYMENTS).removesuffix(".json").split("/")
    if len(parts) == 4:
        model = parse_model_name(f"{parts[0]}/{parts[1]}")
        place = Place(parse_place_part(parts[2], what="environment"), parse_place_part(parts[3], what="instance"))
        if keys.deployment(model, place.environment, place.instance) == key:
            return model, place
    raise UsageError(f'"{displayable(key)}" is nobody\'s receipt')


def encode_deployment(deployment: Deployment) -> bytes:
    """Return the receipt's bytes."""
    return encode(
        dict(deployment.extra)
        | {
            "format": FORMAT,
            "registry": deployment.registry,
            "model": str(deployment.model),
            "version": deployment.version,
            "manifest": deployment.manifest,
            "environment": deployment.place.environment,
            "instance": deployment.place.instance,
            "actor": deployment.actor,
            "at": deployment.at,
            "verified": deployment.verified,
            "files": deployment.files,
            "size_bytes": deployment.size_bytes,
            "complete": deployment.complete,
            "client": deployment.client,
            "alias": deployment.alias,
            "generation": deployment.generation,
            "pulled_at": deployment.pulled_at,
        }
    )


def decode_deployment(body: bytes, *, key: str) -> Deployment:
    """Return the receipt at a key; raise `CorruptError` for anything else, and for another instance's receipt."""
    if len(body) > LARGEST_DEPLOYMENT_BYTES:
        raise CorruptError(f"{displayable(key)} has {len(body):,} bytes; the limit is {LARGEST_DEPLOYMENT_BYTES:,}")
    fields = Fields(decode(body, what=key), what=key)
    verified = fields.text("verified", longest=16)
    if verified not in VERIFICATIONS:
        raise CorruptError(f"{displayable(key)}: verified is not one of {', '.join(VERIFICATIONS)}")
    deployment = Deployment(
        registry=fields.text("registry", longest=64),
        model=fields.parsed("model", parse_model_name),
        version=fields.integer("version", least=1),
        manifest=fields.digest("manifest"),
        place=Place(fields.text("environment", longest=96), fields.text("instance", longest=96)),
        actor=fields.parsed("actor", parse_actor),
        at=fields.parsed("at", parse_time),
        verified=verified,
        files=fields.integer("files"),
        size_bytes=fields.integer("size_bytes"),
        complete=fields.flag("complete"),
        client=fields.text("client", longest=LONGEST_CLIENT),
        alias=fields.parsed("alias", parse_alias) if fields.optional_text("alias") is not None else None,
        generation=fields.optional_integer("generation", least=1),
        pulled_at=fields.parsed("pulled_at", parse_time) if fields.optional_text("pulled_at") is not None else None,
        extra=fields.rest(),
    )
    if (deployment.alias is None) != (deployment.generation is None):
        raise CorruptError(f"{displayable(key)}: an alias and its generation go together")
    if deployment.key != key:
        raise CorruptError(f"{displayable(key)} holds the receipt of another instance")
    return deployment
