"""Can two people review, promote and roll back by the screens alone, on a real S3 server that is far away?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tui.far_registry import CANDIDATE, OLDER, OPS, REVIEWER, RISK, SERVING, far_registry
from tui.panes import TMUX, open_pane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from servers.process import S3Server
    from tui.far_registry import FarRegistry
    from tui.panes import Pane

RATE = 50e6
FILE_BYTES = 1_000
pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is not installed")


@pytest.fixture(scope="module")
def registry(weed: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarRegistry]:
    folder = tmp_path_factory.mktemp("story")
    with far_registry(weed, folder, bytes_per_second=RATE, file_bytes=FILE_BYTES) as registry:
        yield registry


def screens_of(registry: FarRegistry, identity: str) -> AbstractContextManager[Pane]:
    return open_pane(registry.folder / identity, registry.environment(identity))


def served(registry: FarRegistry) -> int:
    with registry.opened(OPS) as opened:
        return opened.resolve(f"{RISK}@production").version


def command(pane: Pane, text: str) -> None:
    pane.press(":")
    pane.wait_for("\n :")
    pane.type(text)


def approve(pane: Pane, comment: str) -> None:
    pane.press("A")
    pane.wait_for(f"approve {RISK}:{CANDIDATE}")
    pane.type(comment)


def ask_to_promote(pane: Pane) -> None:
    pane.press("P")
    pane.wait_for(f"promote {RISK}:{CANDIDATE} to alias")
    pane.type("production")


def test_two_people_review_promote_and_roll_back(registry: FarRegistry) -> None:
    with screens_of(registry, OPS) as ops, screens_of(registry, REVIEWER) as reviewer:
        compare(ops)
        command(ops, "r")
        ops.wait_for("It is your turn", f"{RISK}:{CANDIDATE}", "0 of 2")
        approve(ops, "better where it matters")
        ops.wait_for("1 of 2 approvals", "You approved it")
        command(ops, f"v {RISK}")
        ops.wait_for(f">  v{CANDIDATE}")

        reviewer.wait_for("credit-risk")
        command(reviewer, "r")
        reviewer.wait_for("It is your turn", "better where it matters")
        approve(reviewer, "")
        reviewer.wait_for("2 of 2 approvals")

        promote_against_others(ops, registry)
        roll_back(ops, registry)
        command(reviewer, f"v {RISK}")
        reviewer.press("r")
        reviewer.wait_for_line(rf"v{OLDER} +\* prod")
    assert registry.tell("fsck", "--deep")["findings"] == []


def compare(pane: Pane) -> None:
    pane.wait_for("acme/chat", "credit-risk")
    pane.press("/")
    pane.type("risk")
    assert "acme/chat" not in pane.wait_for("filter: risk", "1/2")
    pane.press("Enter")
    pane.wait_for(f">  v{CANDIDATE}", "in review", "* production")
    pane.press("=")
    shown = pane.wait_for("VERDICT", "SLICES")
    for verdict in ("v WORSE", "^ better", "~ noise", "n<200", "fraud-2026-10"):
        assert verdict in shown


def promote_against_others(pane: Pane, registry: FarRegistry) -> None:
    """Promote what the other approved meanwhile, while the other moves the alias: both is said, nothing is overrun."""
    ask_to_promote(pane)
    pane.wait_for(f"{RISK}:{CANDIDATE} is approved now, not in", REVIEWER)
    pane.press("Escape")
    pane.wait_for("/ filter")  # the prompt is gone
    pane.wait_for_line(rf"v{CANDIDATE} .* (approved|2 of 2)")
    ask_to_promote(pane)
    pane.wait_for("PROMOTE TO PROD", f"(now v{SERVING}", "2 of 2", "name differs")
    with registry.opened(REVIEWER) as opened:
        opened.promote(f"{RISK}:{OLDER}", "production", reason="the older one is safer")
    pane.type(str(RISK))
    pane.wait_for(f"names v{OLDER} now, not v{SERVING} as shown", REVIEWER)
    assert served(registry) == OLDER
    pane.wait_for("PROMOTE TO PROD", f"(now v{OLDER}", f"to promote: {RISK}")  # what was typed is still there
    pane.press("Enter")
    pane.wait_for(f"{RISK}@production: v{OLDER} -> v{CANDIDATE}")
    pane.wait_for_line(rf"v{CANDIDATE} +\* prod")
    assert served(registry) == CANDIDATE


def roll_back(pane: Pane, registry: FarRegistry) -> None:
    pane.press("B")
    pane.wait_for("roll back which alias")
    pane.press("Enter")
    pane.wait_for("ROLL BACK PROD", "name differs")
    pane.type(str(RISK))
    pane.wait_for(f"{RISK}@production: v{CANDIDATE} -> v{OLDER}")
    pane.wait_for_line(rf"v{OLDER} +\* prod")
    assert served(registry) == OLDER
    pane.press("@")
    pane.wait_for(f"bucketry rollback {RISK} production", f"bucketry promote {RISK}:{CANDIDATE} production")


def test_without_the_bucket_the_screens_stay_and_come_back(registry: FarRegistry) -> None:
    with screens_of(registry, OPS) as pane:
        pane.wait_for(">  acme/chat", "LIVE <1m")
        registry.far.cut()
        try:
            pane.press("r")
            pane.wait_for("looking at the bucket")
            pane.press("j")
            assert "OFFLINE" not in pane.wait_for(">  credit-risk")  # the key did not wait for the request
            pane.wait_for("OFFLINE <1m", "acme/chat", ">  credit-risk", "the store did not answer")
            pane.press("Enter")
            pane.wait_for(f">  v{CANDIDATE}", "OFFLINE")
        finally:
            registry.far.mend()
        pane.press("r")
        pane.wait_for("LIVE <1m", f">  v{CANDIDATE}", "this is how the bucket is now")
        pane.press("q", "q")
        pane.wait_for("left with 0")
