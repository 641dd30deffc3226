"""What do the screens about a whole registry stand on? A registry whose versions are gated, waiting and served."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bucketry.registry.core.registers import load_alias, load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.registry.review.policies import set_policy
from bucketry.schema.documents.deployment import Deployment, Place, encode_deployment
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action
from bucketry.store.contract import Unconditional
from bucketry.store.memory import MemoryStore
from tui.desk import CHAT, NOW, PRODUCTION, REVIEWER, RISK, TRAINER, Registry, filled_registry

if TYPE_CHECKING:
    from bucketry.schema.names import AliasName
    from bucketry.store.contract import Store

GATED = """
approvals_required = 2
separate_duties = true
protected_aliases = ["production"]
[[gate]]
metric = "auc"
at_least = 0.95
[[gate]]
evidence = "automated"
at_least = 1
"""
SERVER = "server@example.org"


def estate(store: Store | None = None, *, text: str = "slow on long inputs") -> Registry:
    """Return a registry where two versions wait and four instances serve; `text` is in every field of any text."""
    registry = filled_registry(store or MemoryStore(clock=lambda: NOW), text=text)
    set_policy(registry.session(), CHAT, parse_policy_toml("approvals_required = 2", what="p"))
    registry.decide(1, Action.REQUEST, by=TRAINER, comment=text, model=CHAT)
    registry.decide(1, Action.APPROVE, by=REVIEWER, comment=text, model=CHAT)
    set_policy(registry.session(), CHAT, parse_policy_toml(GATED, what="p"))
    serve(registry, 9, "prod-eu", "fraud-api-1", alias=PRODUCTION)
    serve(registry, 8, "prod-us", "fraud-api-2", alias=PRODUCTION, behind=1, days=9)
    serve(registry, 10, "staging", "batch-scoring")
    registry.store.put(
        "deployments/default/credit-risk/prod-eu/broken.json", text.encode("utf-8", "replace"), Unconditional()
    )
    return registry


def serve(
    registry: Registry,
    version: int,
    environment: str,
    instance: str,
    *,
    alias: AliasName | None = None,
    behind: int = 0,
    days: float = 0.1,
) -> None:
    session = registry.session()
    head = load_existing_head(session, RISK)
    register = load_alias(session, RISK, alias).state if alias else None
    at = (NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    deployment = Deployment(
        registry=session.registry.registry,
        model=RISK,
        version=version,
        manifest=load_row(session, head, version).manifest,
        place=Place(environment, instance),
        actor=SERVER,
        at=at,
        verified="sha256",
        files=1,
        size_bytes=4,
        complete=True,
        client="bucketry/0.1.0",
        alias=alias,
        generation=register.generation - behind if register else None,
        pulled_at=at,
    )
    session.store.put(deployment.key, encode_deployment(deployment), Unconditional())
