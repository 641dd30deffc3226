"""Who reviews, promotes and gives up versions in these tests, and what time is it for them?"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from bucketry.clock import Clock
from bucketry.errors import UnavailableError
from bucketry.registry.core.registers import load_alias, load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.registry.core.session import Session
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.review.policies import set_policy
from bucketry.registry.review.reviewing import RecordedDecision, prepare_decision, record_decision
from bucketry.registry.review.standings import Standing, load_standing
from bucketry.registry.versions.evaluate import evaluate
from bucketry.schema.codec import Fields
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action, Review, decision_of, encode_statement, read_review
from simulation.actors import CHAT, CONTENTS, PRODUCTION, Uploader, make_manifest
from simulation.scenes import FEW, begin
from simulation.world import BEGINNING, Bucket, SeededScript, World, one_after_another

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.manifest import Parent
    from bucketry.schema.documents.reviews import Decision, Statement
    from bucketry.schema.names import AliasName, ModelName
    from bucketry.store.contract import Condition, ETag, Object

TRAINER, ANNA, BERT, CLEO = (f"{name}@example.org" for name in ("trainer", "anna", "bert", "cleo"))
"""The trainer published the versions of the simulation."""

__all__ = ["ANNA", "BERT", "CHAT", "CLEO", "PRODUCTION", "TRAINER", "Interrupted", "Office", "open_office"]


class Interrupted(Bucket):
    """A bucket in which another program acts right before a chosen request, and some keys cannot be written."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[tuple[str, str], Callable[[], object]] = {}
        self.broken: set[str] = set()

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        self._meet("get", key)
        return super().get(key, unless=unless)

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        self._meet("put", key)
        if key in self.broken:
            raise UnavailableError(f"{key} cannot be written now")
        return super().put(key, body, condition)

    def _meet(self, call: str, key: str) -> None:
        act = self.before.pop((call, key), None)
        if act is not None:
            act()


@dataclass
class Office:
    """A registry with three versions of a model, `production` on version 2, and everybody's clock."""

    bucket: Interrupted
    days: float = 0
    seconds: float = 0
    _transactions: list[int] = field(default_factory=lambda: [1 << 72])

    def now(self) -> datetime:
        return BEGINNING + timedelta(days=self.days)

    def session(self, actor: str = TRAINER) -> Session:
        """Return a session that has read nothing yet."""
        return Session(self.bucket, actor, self._clock(), map_in_parallel=one_after_another)

    def policy(self, text: str) -> None:
        set_policy(self.session(), CHAT, parse_policy_toml(text, what="p"))

    def prepare(self, actor: str, action: Action, version: int = 1, **said: object) -> Statement:
        said = {"comment": "because"} | said
        return prepare_decision(self.session(actor), CHAT, version, action, **said).statement  # type: ignore[arg-type]

    def record(self, statement: Statement, *, sshsig: str | None = None) -> RecordedDecision:
        return record_decision(self.session(statement.principal), Review(encode_statement(statement), sshsig))

    def decide(self, actor: str, action: Action, version: int = 1, **said: object) -> RecordedDecision:
        return self.record(self.prepare(actor, action, version, **said))

    def approve(self, *actors: str, version: int = 1) -> None:
        for actor in actors:
            self.decide(actor, Action.APPROVE, version)

    def standing(self, version: int = 1) -> Standing:
        session = self.session()
        head = load_existing_head(session, CHAT)
        return load_standing(session, head, load_row(session, head, version))

    def state(self, version: int = 1) -> str:
        return self.standing(version).row.state.value

    def alias(self, alias: AliasName = PRODUCTION) -> AliasRegister:
        register = load_alias(self.session(), CHAT, alias).state
        assert register is not None
        return register

    def carried(self, alias: AliasName = PRODUCTION) -> list[Decision]:
        fields = [Fields(document, what="an alias") for document in self.alias(alias).reviews]
        return [decision_of(read_review(each), what="an alias") for each in fields]

    def measure(self, version: int = 1, **metrics: float) -> None:
        values = tuple(Metric(name, value) for name, value in metrics.items())
        evaluate(self.session(), CHAT, version, [Evidence("automated", metrics=values)])

    def publish(self, model: ModelName = CHAT, *, notes: str = "published", parent: Parent | None = None) -> int:
        session = self.session()
        manifest = make_manifest(model, [CONTENTS[1]], notes=notes, parents=(parent,) if parent else ())
        return register_version(session, PreparedVersion(manifest), Uploader(session, model)).version

    def _clock(self) -> Clock:
        def sleep(seconds: float) -> None:
            self.seconds += seconds

        def new_transaction() -> str:
            self._transactions[0] += 1
            return f"{self._transactions[0]:032x}"

        return Clock(
            now=self.now,
            monotonic_seconds=lambda: self.seconds,
            sleep=sleep,
            new_transaction=new_transaction,
        )


def open_office() -> Office:
    bucket, world = Interrupted(), World(SeededScript(0))
    begin(world, FEW)
    bucket.restore(world.bucket.snapshot())
    return Office(bucket)
