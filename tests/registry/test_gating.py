from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_registry
from bucketry.errors import CorruptError, RejectedError
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.resolve import resolve
from bucketry.registry.core.rows import load_row
from bucketry.registry.reading.cards import find_card
from bucketry.registry.review.gating import check_version_gates
from bucketry.registry.review.policies import set_policy
from bucketry.registry.serving.aliases import promote
from bucketry.registry.versions.evaluate import evaluate
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.names import AliasName, ModelName, parse_reference
from registry.opened import make_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.client import Registry
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.gates import GateResult

CHAT = ModelName("acme", "chat")
PRODUCTION, STAGING = AliasName("production"), AliasName("staging")
AUC = '[[gate]]\nmetric = "auc"\nat_least = 0.9\n'
NO_WORSE = '[[gate]]\nmetric = "auc"\nno_worse_than = "production"\n'


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    make_registry(tmp_path / "registry")
    with open_registry(str(tmp_path / "registry"), identity="ada@example.org") as opened:
        yield opened


def publish(registry: Registry, folder: Path, auc: float, **files: str) -> int:
    source = folder / f"out-{auc}"
    source.mkdir()
    for name, text in {"weights.safetensors": str(auc), **files}.items():
        (source / name.replace("_", ".")).write_text(text)
    evidence = Evidence("automated", (Metric("auc", auc, direction="higher"),))
    return registry.publish("acme/chat", [source], evidence=[evidence]).version


def demand(registry: Registry, text: str) -> None:
    set_policy(registry.session, CHAT, parse_policy_toml(text, what="p"))


def gates(registry: Registry, version: int, alias: AliasName | None = None) -> tuple[GateResult, ...]:
    head = load_existing_head(registry.session, CHAT)
    return check_version_gates(registry.session, head, load_row(registry.session, head, version), alias=alias)


def measure(session: Session, version: int, auc: float) -> None:
    evaluate(session, CHAT, version, [Evidence("automated", (Metric("auc", auc, direction="higher"),))])


def test_evidence_of_the_publish_and_evidence_added_later_count(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, 0.8)
    demand(registry, AUC)
    assert [one.passed for one in gates(registry, 1)] == [False]
    measure(registry.session, 1, 0.95)
    assert [one.passed for one in gates(registry, 1)] == [True]


def test_only_the_evidence_that_the_row_names_counts(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, 0.8)
    demand(registry, AUC)
    older = load_existing_head(registry.session, CHAT)
    measure(registry.session, 1, 0.95)
    results = check_version_gates(registry.session, older, load_row(registry.session, older, 1), alias=None)
    assert [one.passed for one in results] == [False]


def test_a_version_is_compared_with_what_the_alias_names_now(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, 0.9)
    publish(registry, tmp_path, 0.85)
    demand(registry, NO_WORSE)
    assert [one.reason for one in gates(registry, 2)] == ["production is not set yet"]
    promote(registry.session, CHAT, 1, PRODUCTION)
    assert [(one.passed, one.value, one.limit) for one in gates(registry, 2)] == [(False, 0.85, 0.9)]
    measure(registry.session, 1, 0.8)
    assert [(one.passed, one.limit) for one in gates(registry, 2)] == [(True, 0.8)]
    promote(registry.session, CHAT, 2, PRODUCTION)
    assert [one.limit for one in gates(registry, 1)] == [0.85]


def test_an_alias_may_name_a_version_that_is_newer_than_the_head_that_was_read(
    registry: Registry, tmp_path: Path
) -> None:
    publish(registry, tmp_path, 0.85)
    demand(registry, NO_WORSE)
    older = load_existing_head(registry.session, CHAT)
    publish(registry, tmp_path, 0.9)
    promote(registry.session, CHAT, 2, PRODUCTION)
    results = check_version_gates(registry.session, older, load_row(registry.session, older, 1), alias=None)
    assert [(one.passed, one.limit) for one in results] == [(False, 0.9)]


def test_a_protected_alias_is_not_moved_past_a_gate_that_fails(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, 0.8)
    demand(registry, 'protected_aliases = ["production"]\n' + AUC)
    with pytest.raises(RejectedError):
        promote(registry.session, CHAT, 1, PRODUCTION)
    promote(registry.session, CHAT, 1, STAGING)


def test_a_gate_for_one_alias_does_not_count_before_others(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, 0.8)
    demand(registry, AUC + 'aliases = ["production"]')
    assert len(gates(registry, 1)) == len(gates(registry, 1, PRODUCTION)) == 1
    assert gates(registry, 1, STAGING) == ()


def test_the_card_is_read_from_the_registry(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, 0.8, README_md="# M\n## Limitations\nnone\n")
    publish(registry, tmp_path, 0.9)
    demand(registry, '[[gate]]\ncard_sections = ["Limitations"]')
    assert [one.passed for one in gates(registry, 1)] == [True]
    assert [one.passed for one in gates(registry, 2)] == [False]
    demand(registry, '[[gate]]\ncard_sections = ["Risks"]')
    assert [one.reason for one in gates(registry, 1)] == ["Risks is missing"]


def test_a_card_that_is_no_text_or_too_large_is_none(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, 0.8, README_md="x" * (1024 * 1024 + 1))
    source = tmp_path / "binary"
    source.mkdir()
    (source / "README.md").write_bytes(b"\xff\xfe# Limitations")
    registry.publish("acme/chat", [source])
    for version in (1, 2):
        card = find_card(registry.session, resolve(registry.session, parse_reference(f"acme/chat:{version}")))
        assert card is not None
        assert card.whole_text is None


def test_a_card_that_was_damaged_is_not_read(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, 0.8, README_md="# M\n## Limitations\nnone\n")
    demand(registry, '[[gate]]\ncard_sections = ["Limitations"]')
    (blob,) = (file for file in (tmp_path / "registry").rglob("*") if file.is_file() and b"## Lim" in file.read_bytes())
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes().replace(b"none", b"fine"))
    with pytest.raises(CorruptError):
        gates(registry, 1)


@pytest.mark.parametrize("scan", [True, False])
def test_a_list_reads_no_file_for_a_gate_on_formats(registry: Registry, tmp_path: Path, *, scan: bool) -> None:
    publish(registry, tmp_path, 0.8, config_json="{}")
    demand(registry, '[[gate]]\nformats = ["safetensors", "json"]')
    head = load_existing_head(registry.session, CHAT)
    (found,) = check_version_gates(registry.session, head, load_row(registry.session, head, 1), alias=None, scan=scan)
    words = "weights.safetensors is not a valid safetensors file" if scan else "the contents are not looked at for this"
    assert (found.passed, words in found.reason) == (not scan, True)
    (found,) = check_version_gates(
        registry.session, head, load_row(registry.session, head, 1), alias=None, scan=False, contents=True
    )
    assert not found.passed


def test_only_what_gates_ask_for_is_read(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, 0.8, README_md="# M\n")
    measure(registry.session, 1, 0.9)
    demand(registry, '[[gate]]\nformats = ["safetensors", "md"]')
    fresh = open_registry(str(tmp_path / "registry"))
    head = load_existing_head(fresh.session, CHAT)
    asked: list[str] = []
    get, stat = fresh.session.store.get, fresh.session.store.stat

    def recorded(key: str, **options: object) -> object:
        asked.append(key.partition("/")[0])
        return get(key, **options)  # type: ignore[arg-type]

    def looked_at(key: str) -> object:
        asked.append(key.partition("/")[0])
        return stat(key)

    fresh.session.store.get = recorded  # type: ignore[method-assign,assignment]
    fresh.session.store.stat = looked_at  # type: ignore[method-assign,assignment]
    check_version_gates(fresh.session, head, load_row(fresh.session, head, 1), alias=None)
    assert sorted(asked) == ["blobs", "blobs", "manifests", "policies"]  # registry.json was read with the head
    check_version_gates(fresh.session, head, load_row(fresh.session, head, 1), alias=None)
    assert asked.count("blobs") == 2
    fresh.close()
