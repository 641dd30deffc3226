"""A registry with its people, as they see it and as somebody sees it who may write its bucket."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bucketry.client import open_reader, open_registry
from bucketry.registry.publishing.publish import PublishRequest, publish
from bucketry.registry.reading.pull import PullOptions
from bucketry.registry.review.reviewing import prepare_decision, record_decision
from bucketry.registry.review.strict import carried_decisions
from bucketry.schema import keys
from bucketry.schema.documents.alias import decode_alias, encode_alias
from bucketry.schema.documents.audit import NO_RECORD, Record, continue_trail
from bucketry.schema.documents.head import decode_head, encode_head
from bucketry.store.contract import IfMatch
from bucketry.store.folder.store import FolderStore
from trust.people import AUTHOR, CHAT, EVERYBODY, PRODUCTION, Person, rule, trust_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.head import Head
    from bucketry.schema.documents.reviews import Action, Review, Statement
    from bucketry.schema.names import AliasName, ModelName

ALIAS_KEY = keys.alias(CHAT, PRODUCTION)


@dataclass(frozen=True)
class World:
    """A registry with its people, the bucket as an attacker sees it, and a machine with a trust file."""

    folder: Path

    @property
    def url(self) -> str:
        return str(self.folder / "registry")

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.folder / "registry", durable=False)

    @property
    def registry_id(self) -> str:
        return str(json.loads(self.store.get(keys.REGISTRY).body)["registry"])

    def publish(self, text: str, model: ModelName = CHAT, *, signed_by: Person | None = None) -> int:
        source = self.folder / "weights.bin"
        source.write_text(text)
        sign = signed_by.sign if signed_by else None
        with open_registry(self.url, identity=AUTHOR.principal) as registry:
            return publish(registry.session, PublishRequest(model, [source], sign=sign)).version

    def prepare(
        self, person: Person, action: Action, version: int, model: ModelName = CHAT, alias: AliasName | None = None
    ) -> Statement:
        with open_registry(self.url, identity=person.principal) as registry:
            return prepare_decision(
                registry.session, model, version, action, comment="looked at it", alias=alias
            ).statement

    def decide(self, person: Person, action: Action, version: int) -> Review:
        review = person.sign(self.prepare(person, action, version))
        with open_registry(self.url, identity=person.principal) as registry:
            record_decision(registry.session, review)
        return review

    def promote(self, version: int, model: ModelName = CHAT, alias: str = "production") -> None:
        with open_registry(self.url, identity=AUTHOR.principal) as registry:
            registry.promote(f"{model}:{version}", alias)

    def trust(self, *parts: str, top: str = "") -> Path:
        path = self.folder / "trust.toml"
        path.write_bytes(trust_text(*(parts or (*EVERYBODY, rule())), registry=self.registry_id, top=top))
        path.chmod(0o644)
        return path

    def resolve(self, reference: str = "risk/chat@production", *, trust: Path | None = None) -> ResolvedVersion:
        with open_reader(self.url, trust=trust or self.trust()) as reader:
            return reader.resolve(reference)

    def pull(self, **options: object) -> Path:
        with open_reader(self.url, trust=self.trust()) as reader:
            return reader.pull(
                "risk/chat@production",
                self.folder / "served",
                options=PullOptions(**options),  # type: ignore[arg-type]
            )

    def overwrite(self, key: str, body: bytes) -> None:
        self.store.put(key, body, IfMatch(self.store.get(key).etag))

    def forge_alias(self, change: Callable[[AliasRegister], AliasRegister], action: str = "recheck-promotions") -> None:
        """Commit a change of the alias as an attacker would, who keeps the chain of its records right."""
        register = change(decode_alias(self.store.get(ALIAS_KEY).body, what=ALIAS_KEY))
        record = Record(0, "e" * 32, "2026-01-01T00:00:00Z", "eve", action, "", NO_RECORD)
        trail, _ = register.trail.extended(continue_trail(register.trail, record))
        self.overwrite(ALIAS_KEY, encode_alias(replace(register, trail=trail)))

    def forge_head(self, change: Callable[[Head], Head]) -> None:
        key = keys.head(CHAT)
        self.overwrite(key, encode_head(change(decode_head(self.store.get(key).body, what=key))))

    def carry(self, *reviews: Review) -> None:
        """Make the alias carry these reviews and no others."""
        documents = tuple(review.to_document() for review in reviews)
        self.forge_alias(lambda register: replace(register, reviews=documents))


def carried(world: World) -> Sequence[Review]:
    register = decode_alias(world.store.get(ALIAS_KEY).body, what=ALIAS_KEY)
    return [decision.review for decision in carried_decisions(register)]
