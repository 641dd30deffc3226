"""Does the Python client do what the command line does, with types instead of texts?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import bucketry
from bucketry.errors import BucketryError, NotFoundError, RejectedError, UsageError
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.registry.review.policies import set_policy
from bucketry.registry.review.signing import open_signer
from bucketry.registry.review.standings import load_standing
from bucketry.schema.documents import evidence as evidence_documents
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.manifest import decode_manifest
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.names import parse_model_name
from registry.opened import CHAT, open_in, publish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.client import Registry, SignWith
    from bucketry.schema.documents.manifest import Manifest
    from bucketry.schema.documents.reviews import Decision
    from bucketry.schema.names import ModelName


AUC_POLICY = '[[gate]]\nmetric = "auc"\nat_least = 0.9\n'


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    with open_in(tmp_path, monkeypatch) as opened:
        publish(opened, tmp_path, CHAT, {"weights.bin": b"weights"})
        yield opened


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a key file without a passphrase, where there is no agent."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    path = tmp_path / "id_ed25519"
    private = ed25519.Ed25519PrivateKey.generate()
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.chmod(0o600)
    return path


def decisions(registry: Registry, version: int = 1) -> list[Decision]:
    head = load_existing_head(registry.session, parse_model_name(CHAT))
    return list(load_standing(registry.session, head, load_row(registry.session, head, version)).decisions)


def test_a_registry_is_opened_by_a_path_object_too(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for where in (tmp_path / "registry", Path("registry"), Path("./registry")):  # which is no profile's name
        with bucketry.open_reader(where) as reader, bucketry.open(where) as writer:
            assert reader.resolve(CHAT) == writer.resolve(CHAT) == registry.resolve(CHAT)
    wrong: list[Any] = [5, b"registry", [tmp_path]]
    for where in wrong:
        for opens in (bucketry.open_reader, bucketry.open):
            with pytest.raises(UsageError, match="names no registry"):
                opens(where)


def test_a_version_is_asked_about_found_in_the_queue_and_approved(registry: Registry) -> None:
    assert registry.reviews() == []
    assert registry.review(f"{CHAT}:1", "request", comment="please").state == "in_review"
    [waiting] = registry.reviews(mine=True)
    assert (str(waiting.model), waiting.standing.row.version) == (CHAT, 1)
    decided = registry.review(f"{CHAT}:1", "approve", comment="good")
    assert (decided.state, decided.approvals.principals) == ("approved", ("ada@example.org",))
    assert [decision.is_signed for decision in decisions(registry)] == [False, False]
    with pytest.raises(UsageError, match="not an action"):
        registry.review(f"{CHAT}:1", "praise")


def test_a_refusal_has_reached_the_aliases_when_it_returns(registry: Registry) -> None:
    registry.promote(f"{CHAT}:1", "production")
    decided = registry.review(f"{CHAT}@production", "reject", comment="leaks")
    assert (decided.state, decided.reached) == ("rejected", ("production",))


@pytest.mark.parametrize("how", ["file", "text", "function"])
def test_a_decision_is_signed_with_a_key_or_by_a_function(registry: Registry, key: Path, how: str) -> None:
    signs: dict[str, SignWith] = {"file": key, "text": str(key), "function": open_signer(str(key))}
    registry.review(f"{CHAT}:1", "approve", sign=signs[how])
    [decision] = decisions(registry)
    assert decision.is_signed


def test_a_key_that_is_not_there_stops_a_decision(registry: Registry, tmp_path: Path, key: Path) -> None:
    assert key.exists()
    with pytest.raises(BucketryError):
        registry.review(f"{CHAT}:1", "approve", sign=tmp_path / "none")
    assert decisions(registry) == []


def test_a_publish_is_signed_and_asks_for_a_review(registry: Registry, tmp_path: Path, key: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"new")
    published = registry.publish(CHAT, [tmp_path / "weights.bin"], sign=key, request_review=True)
    assert published.version == 2
    assert [(d.statement.action.value, d.is_signed) for d in decisions(registry, 2)] == [
        ("publish", True),
        ("request", False),
    ]
    assert [item.standing.row.version for item in registry.reviews()] == [2]


def test_gates_are_checked(registry: Registry) -> None:
    assert registry.gates(f"{CHAT}:1") == ()
    set_policy(registry.session, None, parse_policy_toml(AUC_POLICY, what="policy.toml"))
    [gate] = registry.gates(CHAT)
    assert not gate.passed
    registry.evaluate(f"{CHAT}:1", metrics={"auc": 0.95})
    [gate] = registry.gates(f"{CHAT}:1", alias="production")
    assert (gate.passed, gate.value) == (True, 0.95)


def test_a_version_is_deleted_and_what_keeps_it_is_named(registry: Registry) -> None:
    registry.promote(f"{CHAT}:1", "production")
    with pytest.raises(RejectedError, match="production names version 1"):
        registry.delete(f"{CHAT}:1")
    registry.unset(CHAT, "production")
    assert registry.delete(f"{CHAT}:1", reason="a mistake").version == 1
    with pytest.raises(NotFoundError):
        registry.resolve(f"{CHAT}:1")


def test_lineage_and_audit_are_told(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, "acme/child", {"a": b"a"}, base=f"{CHAT}:1", relation="adapter")
    assert f"{CHAT}:1" in registry.lineage("acme/child").nodes
    assert "acme/child:1" in registry.lineage(CHAT, down=True).nodes
    assert registry.audit(CHAT).verified
    assert [entry.record.action for entry in registry.audit().entries] == ["create-registry"]


class Scalar:
    """A tensor of one value, as torch and numpy have them."""

    shape = ()

    def item(self) -> float:
        return 0.75


def test_a_metric_that_cannot_be_compared_costs_no_version(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"new")
    metrics: dict[str, Any] = {"auc": 0.91, "loss": float("nan"), "acc": Scalar(), "curve": [1, 2], "wer": "7.1%"}
    with pytest.warns(UserWarning, match="left out: ") as warned:
        published = registry.publish(CHAT, [tmp_path / "weights.bin"], metrics=metrics)
    assert {str(one.filename) for one in warned} == {__file__}
    assert published.left_out == (
        "metric 'loss' is nan, which cannot be compared",
        "metric 'curve' is a list, not a number",
    )
    (shown,) = registry.show(f"{CHAT}:2").evidence
    assert shown["metrics"] == [
        {"name": "auc", "value": 0.91},
        {"name": "acc", "value": 0.75},
        {"name": "wer", "value": 7.1, "unit": "%"},
    ]
    for refused in ({"metrics": metrics, "strict": True}, {"metrics": {"loss": float("nan")}}, {"metrics": {5: 0.9}}):
        with pytest.raises(UsageError):
            registry.publish(CHAT, [tmp_path / "weights.bin"], **refused)


def test_an_evaluation_keeps_what_can_be_compared(registry: Registry, tmp_path: Path) -> None:
    given = Evidence("automated", (Metric("auc", 0.9), Metric("loss", float("inf"))))
    with pytest.warns(UserWarning, match=r"evidence\[0\]: metric 'loss' is inf"):
        done = registry.evaluate(f"{CHAT}:1", evidence=[given])
    assert [len(one.evidence.metrics) for one in done.evaluations] == [1]
    with pytest.raises(UsageError, match="'loss' is inf"):
        registry.evaluate(f"{CHAT}:1", evidence=[given], strict=True)
    file = tmp_path / "results.json"
    file.write_text('{"bleu": 25.5, "chrf": NaN}')
    found = bucketry.read_evidence(file)
    assert found.left_out == ("chrf is nan, which cannot be compared",)
    assert registry.evaluate(f"{CHAT}:1", evidence=found.evidence).left_out == ()


def test_evidence_is_checked_once_on_its_way_in(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def count(metric: Metric, *, what: str) -> Metric:
        checked.append(what)
        return metric

    monkeypatch.setattr(evidence_documents, "check_metric", count)
    given = Evidence("human", (Metric("rating", 4.5),))
    (tmp_path / "model.bin").write_bytes(b"0")
    version = registry.publish(CHAT, [tmp_path / "model.bin"], evidence=[given]).version
    assert [what for what in checked if what == "the evidence"] == ["the evidence"]  # the rest are decoders
    checked.clear()
    registry.evaluate(f"{CHAT}:{version}", evidence=[Evidence("safety", (Metric("toxicity", 0.1),))])
    assert checked.count("the evidence") == 2  # by us, and by the decoder of what is about to be written


def test_what_a_publish_knows_of_older_versions_is_decoded_once(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest of a version of 20,000 files takes most of a second."""
    decoded: list[str] = []

    def note(body: bytes, *, what: str, model: ModelName) -> Manifest:
        decoded.append(what)
        return decode_manifest(body, what=what, model=model)

    monkeypatch.setattr("bucketry.registry.core.resolve.decode_manifest", note)
    publish(registry, tmp_path, CHAT, {"weights.bin": b"others", "config.json": b"{}"})
    assert decoded
    assert len(decoded) == len(set(decoded))
