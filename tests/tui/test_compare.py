"""Does the comparison show what a reviewer must see, and do its keys do what they say?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.registry.reading.compare import compare_versions
from bucketry.registry.review.policies import set_policy
from bucketry.registry.review.standings import load_standing
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action
from bucketry.schema.judging.comparison_document import diff_digest
from bucketry.schema.names import ByVersion, Reference
from registry.safetensors_files import make_tensors
from tui.desk import HOSTILE, RISK, empty_registry, filled_registry
from tui.evaluated import NEWEST, SERVING, evaluated_registry, on
from tui.model_files import publish_files

if TYPE_CHECKING:
    from bucketry.schema.documents.reviews import Statement
    from tui.desk import Desk, Registry

NARROW, WIDE = (80, 24), (140, 40)
COMPARE = ("G", "enter", "equals_sign")
METRICS = ("G", "enter", "enter", "2")
pytestmark = pytest.mark.usefixtures("no_agent")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return evaluated_registry()


def statements(registry: Registry, version: int) -> list[Statement]:
    session = registry.session()
    head = load_existing_head(session, RISK)
    return [decision.statement for decision in load_standing(session, head, load_row(session, head, version)).decisions]


def test_one_row_is_compared_with_production_and_marked_ones_with_the_oldest(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE)
        assert desk.lines[1].startswith(f" base v{SERVING} * production -> v{NEWEST}")
        await desk.press("h", "space", "j", "space", "equals_sign")
        assert desk.lines[1].startswith(f" base v{NEWEST - 2} -> v{NEWEST}")
        await desk.press("h", "space", "equals_sign")
        assert desk.lines[1].startswith(f" base v{SERVING} * production -> v{NEWEST - 2}, v{NEWEST}")

    on(registry, act)


def test_what_cannot_be_compared_says_why_and_which_key_helps(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "j", "j", "j", "equals_sign")
        assert f"v{SERVING} is what serves production; mark two versions (space), then =" in desk.notice
        await desk.press("g", *["space"] * 5, "equals_sign")
        assert "5 versions are too many to compare; mark up to 4" in desk.notice

    on(registry, act)


def test_without_production_one_row_alone_is_not_compared() -> None:
    registry = empty_registry()
    registry.publish(RISK, 1)

    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE)
        assert "nothing of credit-risk serves production; mark two versions (space), then =" in desk.notice

    on(registry, act)


def test_versions_to_compare_can_be_typed(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("colon")
        await desk.type("compare credit-risk:3 credit-risk@production")
        await desk.press("enter")
        assert desk.lines[1].startswith(f" base v3 -> v{SERVING} * production")
        await desk.press("colon")
        await desk.type("compare v2 4 6")
        await desk.press("enter")
        assert desk.lines[1].startswith(" base v2 -> v4, v6")
        await desk.press("colon")
        await desk.type("compare 2")
        await desk.press("enter")
        assert "name two to four versions, the baseline first" in desk.notice

    on(registry, act)


def test_typed_versions_are_compared_where_no_row_is_shown(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "slash")
        await desk.type("nothing-has-this")
        await desk.press("enter", "colon")
        await desk.type("compare 2 4")
        await desk.press("enter")
        assert desk.lines[1].startswith(" base v2 -> v4")

    on(registry, act)


def test_one_typed_version_is_the_baseline_of_the_one_that_is_open(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "enter", "colon")
        await desk.type("compare 5")
        await desk.press("enter")
        assert desk.lines[1].startswith(f" base v5 -> v{NEWEST}")

    on(registry, act)


def test_another_baseline_turns_the_verdicts_round_and_the_other_version_comes_under_the_cursor(
    registry: Registry,
) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE)
        await desk.press("b")
        assert desk.lines[1].startswith(f" base v{NEWEST} -> v{SERVING} * production")
        assert any("recall@1%fpr" in line and "+.0075" in line and "^ better" in line for line in desk.lines)
        assert any("18-25" in line and "+.0380" in line for line in desk.lines)
        assert f"A approve v{SERVING}" in desk.lines[-1]
        await desk.press("b")
        assert desk.lines[1].startswith(f" base v{SERVING}")

    on(registry, act)


def test_what_is_the_same_is_hidden_with_a_count_until_it_is_wanted(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE)
        assert "1 same hidden" in desk.lines[1]
        assert "macro_f1" not in desk.text
        await desk.press("z")
        assert "hidden" not in desk.lines[1]
        assert any("macro_f1" in line and "= same" in line for line in desk.lines)

    on(registry, act)


def test_the_metrics_are_sorted_by_verdict_then_name_then_change(registry: Registry) -> None:
    def first(desk: Desk) -> str:
        return desk.lines[5].lstrip(">").split()[0]

    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE)
        assert first(desk) == "recall@1%fpr"
        await desk.press("s")
        assert (first(desk), "sorted by name" in desk.lines[1]) == ("auc", True)
        await desk.press("s")
        assert (first(desk), "sorted by change" in desk.lines[1]) == ("recall@1%fpr", True)

    on(registry, act)


def test_the_tab_key_goes_through_slices_and_trends(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE)
        assert "SLICES  recall@1%fpr by age_band" in desk.text
        await desk.press("tab")
        assert "TREND  auc over the newest versions of credit-risk  (2 of 5)" in desk.text
        assert "v27 .9135" in desk.text
        await desk.press("shift+tab")
        assert "SLICES  recall@1%fpr by age_band" in desk.text

    on(registry, act)


def test_slices_are_worst_first_and_the_small_one_is_not_judged(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE)
        found = [line.split() for line in desk.lines if line[1:6] in {"18-25", "26-40", "41-65", "66+  "}]
        assert [cells[0] for cells in found] == ["18-25", "41-65", "26-40", "66+"]
        assert found[-1][-2:] == ["?", "n<200"]
        assert "worst gap .0410 -> .0720  v WIDER" in desk.text

    on(registry, act)


def test_the_tensors_are_read_when_they_are_wanted(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE)
        assert "tensors were not read (x reads them)" in desk.text
        await desk.press("x")
        assert "no file here has tensors that can be listed" in desk.text
        await desk.press("x")
        assert "they were read already" in desk.notice

    on(registry, act, size=WIDE)


def test_the_comparison_is_copied_as_markdown_that_is_nothing_but_text(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []

    def copy(text: str, *_: object) -> str:
        copied.append(text)
        return "tmux"

    monkeypatch.setattr("bucketry.tui.shell.app.copy_text", copy)

    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE, "y")
        assert "copied by tmux" in desk.notice
        await desk.press("z", "y")

    on(evaluated_registry(text=HOSTILE + "|x|"), act)
    changed, everything = copied
    assert "### credit-risk:27 -\\> credit-risk:30" in changed
    assert "| recall@1%fpr | fraud-2026-10 | - | up | .6325 | .6250 | -.0075 | -1.2% | v WORSE | FAILED |" in changed
    assert "macro\\_f1" not in changed
    assert "macro\\_f1" in everything
    assert "gate FAILED recall@1%fpr \\>= 0.63: 0.625 on" in changed
    assert "\\[/nope\\]" in everything
    assert "\\|x\\|" in everything
    assert everything.replace("\n", "").isprintable()


def test_an_approval_from_here_names_the_comparison_that_was_shown() -> None:
    registry = filled_registry()
    shown = [Reference(RISK, ByVersion(version)) for version in (9, 12)]
    digest = diff_digest(compare_versions(registry.session(), shown))

    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE, "A")
        await desk.type("better than v9")
        await desk.press("enter")
        assert "credit-risk:12 is approved now" in desk.notice

    on(registry, act)
    said = statements(registry, 12)[-1]
    assert (said.action, said.comment, said.diff) == (Action.APPROVE, "better than v9", digest)


def test_a_decision_from_elsewhere_names_no_comparison() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "A", "enter")

    on(registry, act)
    assert statements(registry, 12)[-1].diff is None


def test_decisions_are_about_the_version_whose_column_is_under_the_cursor() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE)
        assert "base v9 * production -> v12" in desk.text
        assert any("METRIC" in line and line.split()[2:4] == ["v9", ">v12"] for line in desk.lines)
        assert "A approve v12" in desk.lines[-1]
        assert "P promote v12" in desk.lines[-1]
        assert "CHECKS v12" in desk.text
        await desk.press("b")
        assert "base v12 -> v9 * production" in desk.text
        assert any("METRIC" in line and line.split()[2:4] == ["v12", ">v9"] for line in desk.lines)
        assert "CHECKS v9" in desk.text
        assert "A approve v9" in desk.lines[-1]
        await desk.press("X")
        assert "REVOKE credit-risk:9 PROD" in desk.text
        await desk.press("escape", "A")
        assert "APPROVE credit-risk:9" in desk.text
        assert "approve credit-risk:9, comment" in desk.notice
        await desk.press("escape", "P")
        assert "PROMOTE credit-risk:9" in desk.text
        await desk.press("escape", "greater_than_sign")
        assert any("METRIC" in line and line.split()[2:4] == [">v12", "v9"] for line in desk.lines)
        assert "CHECKS v12" in desk.text
        await desk.press("X")
        assert "REJECT credit-risk:12" in desk.text
        await desk.type("worse")
        await desk.press("enter")

    on(registry, act, size=WIDE)
    assert [said.action for said in statements(registry, 12)] == [Action.REQUEST, Action.REJECT]
    assert [said.action for said in statements(registry, 9)] == [Action.APPROVE]


def test_of_four_versions_each_column_can_be_decided_about() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press("colon")
        await desk.type("compare credit-risk:9 credit-risk:5 credit-risk:6 credit-risk:7")
        await desk.press("enter")
        for version in (7, 9, 5, 6):
            await desk.press("A")
            assert f"APPROVE credit-risk:{version} " in desk.text
            assert f"A approve v{version}" not in desk.lines[-1]  # the prompt's keys stand there
            await desk.press("escape")
            assert f"A approve v{version}" in desk.lines[-1]
            assert f"CHECKS v{version}" in desk.text
            await desk.press("greater_than_sign")
        await desk.press("less_than_sign")
        assert "A approve v6" in desk.lines[-1]

    on(registry, act, size=WIDE)


def test_an_older_version_that_is_compared_with_production_is_the_one_that_is_checked_and_decided_about() -> None:
    async def act(desk: Desk) -> None:
        await desk.press("colon")
        await desk.type("compare credit-risk:9 credit-risk:5")
        await desk.press("enter")
        assert "CHECKS v5" in desk.text
        await desk.press("A")
        assert "approve credit-risk:5" in desk.text

    on(filled_registry(), act)


def test_a_failing_gate_is_named_with_its_reason_and_blocks(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE)
        assert "Promote is blocked by 1 gate." in desk.notice
        await desk.press("G")
        assert "gate FAILED recall@1%fpr >= 0.63" in desk.text
        assert "p95_ms <= 45 ok" in desk.text

    on(registry, act)


def test_a_scan_that_nobody_made_yet_is_said_and_does_not_count_as_failed() -> None:
    registry = filled_registry()
    policy = parse_policy_toml("approvals_required = 1\n\n[[gate]]\npickle_scan = true\n", what="p")
    set_policy(registry.session(), RISK, policy)

    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE)
        assert "pickle scan: not scanned from here" in desk.text
        assert "blocked" not in desk.notice
        assert "FAILED" not in desk.text

    on(registry, act, size=WIDE)


def test_a_write_key_says_why_it_does_nothing_with_read_only(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE, "A")
        assert "A approve: not now, these screens were opened with --read-only" in desk.notice
        assert desk.top.endswith("ops ro")

    on(registry, act, read_only=True)


def test_the_metrics_of_a_version_stand_next_to_production_or_alone(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*METRICS)
        assert f"v{NEWEST}  next to  v{SERVING} * production" in desk.text
        await desk.press("h", "j", "j", "j", "enter", "2")
        assert f"credit-risk:{SERVING}  alone: it serves production" in desk.text

    on(registry, act)


def test_the_promote_key_is_about_the_newest_version_too() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE, "P")
        assert "promote credit-risk:12 to alias:" in desk.text
        await desk.type("staging")
        await desk.press("enter")
        assert "credit-risk@staging: v11 -> v12" in desk.notice

    on(filled_registry(), act)


def test_versions_of_two_models_keep_their_numbers_in_the_titles() -> None:
    async def act(desk: Desk) -> None:
        await desk.press("colon")
        await desk.type("compare credit-risk:12 acme/chat:1")
        await desk.press("enter")
        assert "base credit-risk:12 -> chat:1" in desk.lines[1]
        assert any("METRIC" in line and "credit-r~:12" in line and "chat:1" in line for line in desk.lines)
        assert "CHECKS v1" in desk.text

    on(filled_registry(), act)


def test_tensors_that_differ_are_listed_when_they_were_asked_for() -> None:
    registry = empty_registry()
    for width in (4, 8):
        tensors = make_tensors({"head.weight": ("F32", [width], bytes(4 * width)), "step": ("I64", [], bytes(8))})
        publish_files(registry, {"model.safetensors": tensors})

    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "*", "equals_sign", "x", "G")
        assert any(line.split()[:5] == ["head.weight", "F32", "[4]", "F32", "[8]"] for line in desk.lines)
        assert "1 tensor" in desk.text
        assert "reading" not in desk.text

    on(registry, act)


def test_columns_stay_straight_where_the_terminal_escapes_what_is_not_ascii() -> None:
    async def act(desk: Desk) -> None:
        for keys in ((*METRICS, "j"), ("h", "h", "G", "enter", "equals_sign", "z")):
            await desk.press(*keys)
            header = next(line for line in desk.lines if line.startswith(" METRIC"))
            row = next(line for line in desk.lines if "macro_f1<U+03B1>" in line)
            assert row[: header.index("DELTA") + 5].endswith(" 0")

    on(evaluated_registry(text="\u03b1"), act)


def test_the_baseline_goes_round_and_stays_when_the_bucket_is_read_again(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("colon")
        await desk.type("compare credit-risk:3 credit-risk:5 credit-risk:9")
        await desk.press("enter")
        for turn, chosen in (("v5 -> v9, v3", 9), ("v9 -> v3, v5", 5), ("v3 -> v5, v9", 5)):
            await desk.press("b")
            assert desk.lines[1].startswith(f" base {turn}")
            assert f"CHECKS v{chosen}" in desk.text
            await desk.press("r")
            assert desk.lines[1].startswith(f" base {turn}")
            assert f"CHECKS v{chosen}" in desk.text

    on(registry, act, size=WIDE)


def test_enter_on_a_metric_shows_its_slices_or_its_trend(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE, "j", "enter")
        assert desk.cursor_line.startswith(">auc")
        assert "TREND  auc over the newest versions of credit-risk" in desk.text
        assert "SLICES" not in desk.text
        await desk.press("k", "enter")
        assert "SLICES  recall@1%fpr by age_band" in desk.text
        await desk.press("G", "enter")
        assert "the cursor is on no metric" in desk.notice

    on(registry, act)


def test_slices_below_the_screen_are_brought_up_by_enter(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE, "enter")
        assert "SLICES  recall@1%fpr by age_band" in desk.cursor_line
        await desk.press("g")
        await desk.press("j", "j", "j", "j", "enter")
        assert "TREND  auc" in desk.cursor_line

    on(registry, act, size=(80, 15))


def test_what_is_the_same_of_files_and_parameters_is_hidden_too(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE)
        assert "optimizer" not in desk.text
        assert "the same:" in desk.text
        await desk.press("z")
        assert "optimizer" in desk.text
        assert "the same:" not in desk.text

    on(registry, act, size=WIDE)


def test_the_metrics_of_a_version_are_shown_without_what_is_the_same_as_in_production(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*METRICS)
        assert "z hides 1 same" in desk.text
        assert "macro_f1" in desk.text
        await desk.press("z")
        assert "changed only: 1 same hidden" in desk.text
        assert not any(line.strip().startswith("macro_f1") for line in desk.lines)
        await desk.press("1", "z")
        assert "nothing here stands next to another version" in desk.notice

    on(registry, act, size=WIDE)
