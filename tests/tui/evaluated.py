"""Which registry do tests of comparisons stand on? One whose versions were measured by slices, against gates."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.review.policies import set_policy
from bucketry.registry.serving.aliases import promote
from bucketry.schema.documents.evidence import Confidence, Evidence, Metric
from bucketry.schema.documents.manifest import Training
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action
from simulation.actors import CONTENTS, Uploader, make_manifest
from tui.desk import NOW, PRODUCTION, RISK, TRAINER, Registry, empty_registry, open_desk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bucketry.store.contract import Store
    from tui.desk import Desk

BANDS = {"18-25": 3_120, "26-40": 19_870, "41-65": 22_004, "66+": 118}
NEWEST, SERVING = 30, 27
POLICY = """
approvals_required = 1
protected_aliases = ["production"]

[[gate]]
metric = "recall@1%fpr"
at_least = 0.63

[[gate]]
metric = "p95_ms"
at_most = 45
"""
RECALL: Mapping[int, tuple[float, ...]] = {
    SERVING: (0.604, 0.645, 0.633, 0.61),
    NEWEST: (0.566, 0.638, 0.62, 0.64),
}
DATA = {"name": "fraud-2026-10", "digest": "sha256:1c9e" + "0" * 60}


def evaluated_registry(store: Store | None = None, *, text: str = "", newest_data: str = "fraud-2026-10") -> Registry:
    """Return 30 versions, of which v27 serves; v30 is better in one metric, worse in another, and fails a gate.

    `text` is in every name that a publisher chooses; `newest_data` is what v30 was measured on.
    """
    registry = empty_registry(store)
    for version in range(1, NEWEST + 1):
        data = {"name": newest_data} if version == NEWEST and newest_data != DATA["name"] else DATA
        publish(registry, version, text, data)
    session = registry.session()
    set_policy(session, RISK, parse_policy_toml("approvals_required = 1", what="p"))
    registry.decide(SERVING, Action.APPROVE)
    promote(session, RISK, SERVING, PRODUCTION)
    set_policy(session, RISK, parse_policy_toml(POLICY, what="p"))
    registry.clock.at = NOW
    return registry


def on(registry: Registry, act: Callable[[Desk], Awaitable[None]], **how: object) -> None:
    """Open the screens of a registry and act on them."""

    async def run() -> None:
        async with open_desk(registry, **how) as desk:  # type: ignore[arg-type]
            await act(desk)

    asyncio.run(run())


def publish(registry: Registry, version: int, text: str, data: Mapping[str, str]) -> None:
    made = make_manifest(RISK, [CONTENTS[1 + version % 4]], notes="")
    recall, logloss = round(0.64 - abs(version - 24) / 400, 4), round(0.25 - version / 3000, 4)
    auc, p95 = round(0.9 + version / 2000, 4), 40 + version / 8
    metrics = (
        Metric("auc", auc, direction="higher", confidence=Confidence(auc - 0.0005, auc + 0.0005, 0.95), samples=45_112),
        Metric("logloss", logloss, direction="lower", confidence=Confidence(logloss - 0.01, logloss + 0.01, 0.95)),
        Metric("recall@1%fpr", recall, direction="higher", confidence=within(recall, 45_112), samples=45_112),
        Metric("p95_ms", p95, samples=45_112),
        Metric("macro_f1" + text[:60], 0.5, direction="higher"),
        *slices("recall@1%fpr", RECALL.get(version, RECALL[SERVING]), text),
    )
    evidence = Evidence("automated", metrics, by=f"ci-2{text}", at="2026-11-20T08:00:00Z", dataset=dict(data))
    manifest = replace(
        made,
        created_by=TRAINER,
        created_at=(NOW - timedelta(days=40 - version)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        training=Training(
            {"lr": 0.001 if version < NEWEST else 0.0007, "optimizer": {"name": f"adamw{text}"}, "seed": version},
            datasets=({"name": "transactions", "version": f"2026-{8 + version % 3:02d}{text}"},),
        ),
        evidence_at_publish=(evidence,),
    )
    session = registry.session(TRAINER)
    headline = {"auc": auc, "recall@1%fpr": recall}
    register_version(session, PreparedVersion(manifest, headline, {}), Uploader(session, RISK))


def slices(name: str, values: tuple[float, ...], text: str) -> tuple[Metric, ...]:
    found = zip(BANDS.items(), values, strict=True)
    return tuple(
        Metric(
            name,
            value,
            direction="higher",
            slice={"age_band": band + text[:40]},
            confidence=within(value, count),
            samples=count,
        )
        for (band, count), value in found
    )


def within(share: float, samples: int) -> Confidence:
    """Return the interval that an evaluator would state for a share of so many samples."""
    half = 1.96 * (share * (1 - share) / samples) ** 0.5
    return Confidence(share - half, share + half, 0.95)
