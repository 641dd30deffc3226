"""Do the screens show what is damaged, say so when they are asked, and go on with the rest?"""

from __future__ import annotations

import asyncio

from bucketry.registry.core.registers import load_existing_head
from bucketry.schema import keys
from bucketry.store.contract import Unconditional
from tui.desk import CHAT, RISK, Registry, filled_registry, open_desk


def cut(registry: Registry, key: str) -> None:
    body = registry.store.get(key).body
    registry.store.put(key, body[: len(body) // 2], Unconditional())


def test_a_model_whose_head_is_damaged_is_a_row_and_refresh_and_health_tell() -> None:
    async def script() -> None:
        registry = filled_registry()
        cut(registry, keys.head(CHAT))
        async with open_desk(registry) as desk:
            row = next(line for line in desk.lines if "acme/chat" in line)
            assert "DAMAGED" in row
            risk = next(line for line in desk.lines if "credit-risk" in line)
            assert "v9 production" in risk, "the others are as ever"
            assert "heads/acme/chat.json" in desk.notice
            await desk.press("r")
            assert "1 model is DAMAGED, the first: heads/acme/chat.json" in desk.notice
            assert "this is how the bucket is now, but" in desk.notice
            await desk.press("enter")
            assert "DAMAGED: heads/acme/chat.json" in desk.text
            await desk.press("h", "colon")
            await desk.type("doctor")
            await desk.press("enter")
            assert "1 model is DAMAGED" in desk.text

    asyncio.run(script())


def test_a_version_that_was_found_to_be_damaged_is_marked_and_not_promoted_until_it_is_mended() -> None:
    async def script() -> None:
        registry = filled_registry()
        manifest = load_existing_head(registry.session(), RISK).rows[11].manifest
        key = keys.manifest(RISK, manifest)
        whole = registry.store.get(key).body
        cut(registry, key)
        async with open_desk(registry) as desk:
            await desk.press("j", "enter")
            await desk.press("enter")
            assert "manifests/default/credit-risk" in desk.text
            await desk.press("h")
            assert "DAMAGED" in desk.cursor_line
            assert "v12: the bytes of manifests/default/" in desk.notice
            assert next(line for line in desk.lines if "v11" in line).count("DAMAGED") == 0
            await desk.press("P")
            assert "damaged" in desk.notice
            registry.store.put(key, whole, Unconditional())
            await desk.press("escape", "r")
            assert "DAMAGED" not in desk.text
            assert "this is how the bucket is now" in desk.notice

    asyncio.run(script())
