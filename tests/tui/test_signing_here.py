"""Is a decision from the screens signed by the user's key in a real SSH agent, and does a strict server believe it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.registry.review.policies import set_policy
from bucketry.registry.review.signing_keys import find_signing_keys
from bucketry.registry.review.standings import load_standing
from bucketry.registry.review.strict import StrictMode
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.names import ByAlias, Reference
from bucketry.trust.generations import GenerationMemory
from bucketry.trust.trust_file import parse_trust_file
from trust.openssh import NEED_SSH_AGENT, NEED_SSH_KEYGEN, make_key, run_agent
from tui.desk import OPS, PRODUCTION, RISK, filled_registry
from tui.evaluated import on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.schema.documents.reviews import Decision
    from trust.openssh import RunningAgent
    from tui.desk import Desk, Registry

pytestmark = [NEED_SSH_KEYGEN, NEED_SSH_AGENT]
APPROVE = ("G", "enter", "A")
REQUIRED = 'approvals_required = 1\nsignatures = "required"\nprotected_aliases = ["production"]'


@pytest.fixture(autouse=True)
def _no_agent_of_mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("SSH_AUTH_SOCK", "TMUX", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningAgent]:
    with run_agent(tmp_path) as running:
        monkeypatch.setenv("SSH_AUTH_SOCK", running.socket_path)
        yield running


def public(key: Path) -> str:
    return key.with_name(key.name + ".pub").read_text().strip()


def trust_file(registry: Registry, key: Path) -> bytes:
    kind, blob, *_ = public(key).split()
    return f"""
registry = "{registry.session().registry.registry}"
[[signer]]
principal = "{OPS}"
allowed = '{OPS} namespaces="review@bucketry" {kind} {blob}'
[[rule]]
models = ["*"]
aliases = ["production"]
approvals = 1
by = ["{OPS}"]
""".encode()


def strict_mode(registry: Registry, key: Path, folder: Path) -> StrictMode:
    return StrictMode(parse_trust_file(trust_file(registry, key), what="trust"), GenerationMemory(folder / "memory"))


def last_decision(registry: Registry) -> Decision:
    session = registry.session()
    head = load_existing_head(session, RISK)
    return load_standing(session, head, load_row(session, head, 12)).decisions[-1]


def test_an_approval_is_signed_by_the_agent_and_a_strict_server_takes_the_version(
    agent: RunningAgent, tmp_path: Path
) -> None:
    key = make_key(tmp_path, comment="laptop")
    agent.add(key)
    registry = filled_registry()
    set_policy(registry.session(), RISK, parse_policy_toml(REQUIRED, what="p"))

    async def act(desk: Desk) -> None:
        await desk.press(*APPROVE, "enter")
        assert "credit-risk:12 is approved now" in desk.notice
        assert "signed by laptop SHA256:" in desk.notice
        await desk.press("P")
        await desk.type("production")
        await desk.press("enter")
        await desk.type("credit-risk")
        await desk.press("enter")
        assert "production: v9 -> v12" in desk.notice
        await desk.press("at")
        assert any("review approve credit-risk:12 --sign SHA256:" in entry.line for entry in log(desk))

    on(registry, act, size=(140, 40))
    strict = strict_mode(registry, key, tmp_path)
    assert strict.resolve(registry.session(), Reference(RISK, ByAlias(PRODUCTION))).version == 12


def log(desk: Desk) -> list:  # type: ignore[type-arg]
    return list(desk.app.log_of_commands.newest_first())


def test_among_several_keys_the_one_with_the_name_of_the_identity_signs(agent: RunningAgent, tmp_path: Path) -> None:
    for comment in ("first", OPS, "third"):
        agent.add(make_key(tmp_path, comment=comment))
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*APPROVE, "enter")
        assert f"signed by {OPS} SHA256:" in desk.notice

    on(registry, act, size=(140, 40))
    assert last_decision(registry).is_signed


def test_among_several_keys_the_one_that_the_trust_file_names_signs(agent: RunningAgent, tmp_path: Path) -> None:
    trusted = make_key(tmp_path, comment="trusted")
    for key in (make_key(tmp_path, comment=OPS), trusted, make_key(tmp_path, "rsa-3072", comment="old")):
        agent.add(key)
    registry = filled_registry()
    session = registry.session()
    object.__setattr__(session, "strict", strict_mode(registry, trusted, tmp_path))
    found = find_signing_keys(session)
    assert found.chosen is not None
    assert (len(found.keys), found.chosen.comment) == (3, "trusted")


def test_among_keys_of_which_none_is_known_the_user_chooses(agent: RunningAgent, tmp_path: Path) -> None:
    for comment in ("one", "two"):
        agent.add(make_key(tmp_path, comment=comment))
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*APPROVE, "enter")
        assert "sign as ops with:  1 one SHA256:" in desk.notice
        await desk.press("escape")
        assert "approved now" not in desk.notice
        await desk.press("A", "enter", "2")
        assert "signed by two SHA256:" in desk.notice

    on(registry, act, size=(140, 40))
    assert last_decision(registry).is_signed


@pytest.mark.parametrize("there_is", ["no agent", "an empty agent"])
def test_without_a_key_a_decision_that_must_be_signed_says_what_to_do(
    there_is: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert tmp_path.exists()
    if there_is == "an empty agent":
        request.getfixturevalue("agent")
    registry = filled_registry()
    set_policy(registry.session(), RISK, parse_policy_toml(REQUIRED, what="p"))

    async def act(desk: Desk) -> None:
        await desk.press(*APPROVE)
        await desk.type("good")
        await desk.press("enter")
        assert "the policy of credit-risk wants signed decisions, and " in desk.notice
        assert ("ssh -A" if there_is == "no agent" else "ssh-add") in desk.notice
        assert "bucketry review approve credit-risk:12 --detached" in desk.notice
        await desk.press("A")
        assert "comment (may be empty): good" in desk.text

    on(registry, act)


def test_an_approval_without_a_key_says_that_it_is_not_signed() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*APPROVE, "enter")
        assert "credit-risk:12 is approved now (1 of 1 approval); NOT signed: there is no SSH agent" in desk.notice

    on(registry, act)
    assert not last_decision(registry).is_signed


def test_an_agent_that_hung_up_is_said_and_does_not_hold_up_the_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))

    async def act(desk: Desk) -> None:
        await desk.press(*APPROVE, "enter")
        assert "NOT signed: there is no ssh-agent at SSH_AUTH_SOCK" in desk.notice

    on(filled_registry(), act)
