"""Which registry do tests of one version stand on? One whose newest version has a story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.registry.serving.aliases import promote
from bucketry.schema.documents.manifest import Lineage, Training
from bucketry.schema.documents.reviews import Action
from bucketry.schema.names import ModelName
from tui.desk import CHAT, PRODUCTION, RISK, TRAINER, filled_registry
from tui.model_files import CARD, TENSORS, publish_files

if TYPE_CHECKING:
    from bucketry.store.contract import Store
    from tui.desk import Registry

BASE = ModelName("acme", "base")
LONG = "better on all slices but one, and that one is within what we agreed on in the meeting of last Tuesday"


def storied_registry(store: Store | None = None) -> Registry:
    """Return a registry whose newest version has files, a card, parents, a child, decisions and an alias."""
    registry = filled_registry(store)
    publish_files(registry, {"a.bin": b"x"}, model=BASE)
    newest = publish_files(
        registry,
        {
            "README.md": CARD.encode(),
            "config.json": b"{}",
            "model-00001.safetensors": TENSORS,
            "tokenizer/vocab.txt": b"hello",
        },
        card="README.md",
        parents=[(BASE, 1, "finetune"), (RISK, 9, "merge")],
        training=Training({"lr": 1}, datasets=({"name": "fraud-2026-10", "version": "1c9e"},)),
        lineage=Lineage("exp-7", "train/8812", {"repository": "git@x:risk", "commit": "4be1d0a1234567"}),
    )
    publish_files(registry, {"b.bin": b"q"}, model=CHAT, parents=[(RISK, newest, "distilled")])
    registry.decide(newest, Action.REQUEST, by=TRAINER, comment="please look")
    registry.decide(newest, Action.APPROVE, comment=LONG)
    registry.decide(newest, Action.COMMENT, by="ops", comment="rolled out to 5 %")
    promote(registry.session(), RISK, newest, PRODUCTION, reason="the canary was fine")
    return registry
