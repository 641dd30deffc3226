"""Does an instance report exactly what it has, and does everybody see whether that is what it should have?"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.client import open_reader
from bucketry.errors import NotFoundError, RejectedError, UnavailableError, UnsupportedError, UsageError
from bucketry.registry.reading.pull import PullOptions
from bucketry.registry.serving.deployments import list_deployments
from bucketry.registry.serving.reporting import report
from bucketry.schema.documents.deployment import LARGEST_DEPLOYMENT_BYTES, Deployment, encode_deployment
from bucketry.schema.names import parse_alias, parse_model_name, parse_reference
from bucketry.store.contract import Unconditional
from registry.opened import CHAT, open_in, plant, publish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.client import Registry

PRODUCTION = f"{CHAT}@production"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Yield a registry with two versions, the first of which is in production."""
    with open_in(tmp_path, monkeypatch) as opened:
        for number in (1, 2):
            publish(opened, tmp_path, CHAT, {"weights.bin": b"weights %d" % number, "config.json": b"{}"})
        opened.promote(f"{CHAT}:1", "production")
        yield opened


def report_here(registry: Registry, reference: str = PRODUCTION, instance: str = "node-1", **more: Any) -> Deployment:
    return registry.report(reference, environment="prod", instance=instance, **more)


def standings(registry: Registry) -> dict[str, str]:
    observed = registry.deployments().observed
    return {item.key.rpartition("/")[2].removesuffix(".json"): item.standing.value for item in observed}


def test_a_report_says_what_was_pulled_and_how_it_was_verified(registry: Registry, tmp_path: Path) -> None:
    registry.pull(PRODUCTION, tmp_path / "dest")
    done = report_here(registry, path=tmp_path / "dest")
    key = "deployments/acme/chat/prod/node-1.json"
    written = json.loads((tmp_path / "registry" / key).read_bytes())
    assert done.key == key
    resolved = registry.resolve(PRODUCTION)
    assert (
        written.items()
        >= {
            "registry": registry.session.registry.registry,
            "model": CHAT,
            "version": 1,
            "manifest": resolved.digest,
            "alias": "production",
            "generation": resolved.generation,
            "environment": "prod",
            "instance": "node-1",
            "actor": "ada@example.org",
            "verified": "sha256",
            "files": 2,
            "size_bytes": resolved.size_bytes,
            "complete": True,
            "client": "bucketry/0.1.0",
        }.items()
    )
    assert written["pulled_at"] <= written["at"]


def test_a_report_says_when_only_a_fast_check_was_made(registry: Registry, tmp_path: Path) -> None:
    registry.pull(PRODUCTION, tmp_path / "dest", options=PullOptions(verify="fast", include=["*.bin"]))
    done = report_here(registry, path=tmp_path / "dest")
    assert (done.verified, done.files, done.complete) == ("fast", 1, False)


def test_a_report_says_when_a_trust_file_was_asked(registry: Registry, tmp_path: Path) -> None:
    registry.pull(PRODUCTION, tmp_path / "dest")
    receipt = tmp_path / "dest" / ".bucketry" / "receipt.json"
    document = json.loads(receipt.read_bytes())
    assert document["trust"] is False
    receipt.write_text(json.dumps(document | {"trust": True}))
    assert report_here(registry, path=tmp_path / "dest").verified == "trust"


def test_without_a_path_the_cache_is_looked_at(registry: Registry) -> None:
    with pytest.raises(RejectedError, match="nothing to report"):
        report_here(registry)
    registry.pull(PRODUCTION)
    assert report_here(registry).version == 1


def test_a_reader_may_report_but_not_where_the_configuration_says_read_only(registry: Registry, tmp_path: Path) -> None:
    registry.pull(PRODUCTION)
    (tmp_path / "config.toml").write_text(f'[registries.prod]\nurl = "{tmp_path}/registry"\nread_only = true\n')
    with open_reader("prod") as forbidden, pytest.raises(RejectedError, match="read-only, so nothing is reported"):
        report_here(forbidden)  # type: ignore[arg-type]  # a reader has all that is used
    assert standings(registry) == {}
    (tmp_path / "config.toml").write_text("")
    with open_reader(str(tmp_path / "registry")) as reader:
        assert reader.report(PRODUCTION, environment="prod", instance="node-1").version == 1
    assert standings(registry) == {"node-1": "current"}


def test_a_report_needs_no_probe_of_the_store(registry: Registry, tmp_path: Path) -> None:
    registry.pull(PRODUCTION)
    key = tmp_path / "registry" / "registry.json"
    document = json.loads(key.read_bytes())
    plant(tmp_path / "registry", "registry.json", json.dumps(document | {"conformance": []}).encode())
    registry.session.forget_registry()
    with pytest.raises(UnsupportedError, match="nobody has probed"):
        registry.promote(f"{CHAT}:2", "production")
    assert report_here(registry).version == 1


def test_the_instance_is_this_host_unless_it_is_named(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.pull(PRODUCTION)
    monkeypatch.setattr("socket.gethostname", lambda: "Chat_7.example.ORG")
    assert registry.report(PRODUCTION, environment="prod").place.instance == "chat_7.example.org"
    with pytest.raises(UsageError):
        report_here(registry, instance="../../heads/acme/chat")


@pytest.mark.parametrize("what", ["changed", "removed"])
def test_nobody_reports_what_is_not_there(registry: Registry, tmp_path: Path, what: str) -> None:
    dest = registry.pull(PRODUCTION, tmp_path / "dest")
    if what == "changed":
        (dest / "weights.bin").write_bytes(b"tampered!")
    else:
        (dest / "weights.bin").unlink()
    with pytest.raises(RejectedError, match=r"missing or changed, such as weights\.bin"):
        report_here(registry, path=dest)
    assert standings(registry) == {}


def test_a_folder_that_no_pull_made_is_not_reported(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest/thesis.txt").write_bytes(b"mine")
    with pytest.raises(RejectedError, match="no pull made"):
        report_here(registry, path=tmp_path / "dest")


def test_another_version_or_model_than_the_one_named_is_not_reported(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, "acme/other", {"a": b"a"})
    registry.pull(f"{CHAT}:1", tmp_path / "dest")
    with pytest.raises(RejectedError, match=r"holds acme/chat:1, and acme/chat:2 is version 2"):
        report_here(registry, f"{CHAT}:2", path=tmp_path / "dest")
    with pytest.raises(RejectedError, match="another model"):
        report_here(registry, "acme/other:1", path=tmp_path / "dest")
    registry.promote(f"{CHAT}:2", "production")
    with pytest.raises(RejectedError, match=r"holds acme/chat:1, and acme/chat@production is version 2"):
        report_here(registry, path=tmp_path / "dest")  # it was not pulled as production
    with pytest.raises(NotFoundError, match="not set"):
        report_here(registry, f"{CHAT}@staging", path=tmp_path / "dest")


def test_a_receipt_of_an_older_program_is_refused(registry: Registry, tmp_path: Path) -> None:
    registry.pull(PRODUCTION, tmp_path / "dest")
    receipt = tmp_path / "dest" / ".bucketry" / "receipt.json"
    document = json.loads(receipt.read_bytes())
    del document["verify"]
    receipt.write_text(json.dumps(document))
    with pytest.raises(RejectedError, match="does not say how"):
        report_here(registry, path=tmp_path / "dest")


def test_a_report_is_sent_again_while_the_store_is_away(registry: Registry) -> None:
    registry.pull(PRODUCTION)
    store, sent = registry.session.store, []

    class Away:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def put(self, key: str, body: bytes, condition: object) -> object:
            sent.append(condition)
            if len(sent) < 3:
                raise UnavailableError("away")
            return store.put(key, body, Unconditional())

    slept: list[float] = []
    clock = replace(registry.session.clock, sleep=slept.append)
    session = replace(registry.session, store=Away(), clock=clock)  # type: ignore[arg-type]
    report(session, parse_reference(PRODUCTION), environment="prod", instance="node-1")
    assert sent == [Unconditional()] * 3
    assert len(slept) == 2
    assert standings(registry) == {"node-1": "current"}


def test_an_instance_is_shown_against_its_alias(registry: Registry, tmp_path: Path) -> None:
    registry.pull(PRODUCTION, tmp_path / "dest")
    report_here(registry, path=tmp_path / "dest")
    report_here(registry, f"{CHAT}:1", "pinned", path=tmp_path / "dest")
    assert standings(registry) == {"node-1": "current", "pinned": "pinned"}
    registry.promote(f"{CHAT}:2", "production")
    assert standings(registry) == {"node-1": "behind", "pinned": "pinned"}
    behind = next(item for item in registry.deployments().observed if item.standing == "behind")
    assert (behind.behind, behind.alias_version, behind.state) == (1, 2, "registered")
    still = report_here(registry, path=tmp_path / "dest")  # reported again, it is still what it was
    assert (still.version, still.generation) == (1, 1)
    assert standings(registry)["node-1"] == "behind"
    registry.roll_back(CHAT, "production")
    assert standings(registry)["node-1"] == "current"
    registry.unset(CHAT, "production")
    assert standings(registry)["node-1"] == "behind"


def test_a_version_that_was_rejected_since_is_shown_as_refused(registry: Registry) -> None:
    registry.pull(PRODUCTION)
    report_here(registry)
    registry.review(f"{CHAT}:1", "reject", comment="leaks")
    assert standings(registry) == {"node-1": "refused"}
    [item] = registry.deployments().observed
    assert item.state == "rejected"


def test_an_instance_ahead_of_a_replica_and_one_of_nowhere_are_told_apart(registry: Registry, tmp_path: Path) -> None:
    registry.pull(PRODUCTION)
    done = report_here(registry)
    folder = tmp_path / "registry"
    second = registry.resolve(f"{CHAT}:2")

    def claim(instance: str, **fields: Any) -> None:
        claimed = replace(done, place=replace(done.place, instance=instance), **fields)
        plant(folder, claimed.key, encode_deployment(claimed))

    claim("ahead", version=2, manifest=second.digest, generation=9)
    claim("alias", alias="staging")
    claim("manifest", version=2)
    claim("version", version=99)
    claim("model", model=parse_model_name("acme/none"))
    claim("registry", registry="elsewhere")
    assert standings(registry) == {
        "node-1": "current",
        "ahead": "ahead",
        "alias": "unknown",
        "manifest": "unknown",
        "version": "unknown",
        "model": "unknown",
        "registry": "unknown",
    }
    assert "staging does not exist" in {item.why.partition("@")[2] for item in registry.deployments().observed}


def test_what_is_no_receipt_is_one_line_and_no_crash(registry: Registry, tmp_path: Path) -> None:
    registry.pull(PRODUCTION)
    report_here(registry)
    folder = tmp_path / "registry"
    good = (folder / "deployments/acme/chat/prod/node-1.json").read_bytes()
    plant(folder, "deployments/acme/chat/prod/stolen.json", good)
    plant(folder, "deployments/acme/chat/prod/torn.json", good[:50])
    plant(folder, "deployments/acme/chat/prod/deep.json", b"[" * 5_000)
    plant(folder, "deployments/acme/chat/prod/newer.json", b'{"format": 99}')
    plant(folder, "deployments/acme/chat/prod/large.json", b" " * (LARGEST_DEPLOYMENT_BYTES + 1))
    plant(folder, "deployments/acme/chat/stray.json", good)
    assert standings(registry) == {
        "node-1": "current",
        **dict.fromkeys(["stolen", "torn", "deep", "newer", "large", "stray"], "damaged"),
    }
    assert all(item.why for item in registry.deployments().observed if item.standing == "damaged")


def test_a_claim_makes_nobody_read_what_is_not_there_or_too_large(registry: Registry, tmp_path: Path) -> None:
    registry.pull(PRODUCTION)
    done = report_here(registry)
    planted = replace(done, place=replace(done.place, instance="planted"), alias=parse_alias("no-such-alias"))
    plant(tmp_path / "registry", planted.key, encode_deployment(planted))
    large = done.key.replace("node-1", "large")
    plant(tmp_path / "registry", large, b" " * (LARGEST_DEPLOYMENT_BYTES + 1))
    store, asked = registry.session.store, []

    class Noting:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def get(self, key: str, **options: Any) -> object:
            asked.append(key)
            return store.get(key, **options)

    list_deployments(replace(registry.session, store=Noting()))  # type: ignore[arg-type]
    aliases = [key for key in asked if key.startswith("aliases/")]
    assert aliases == ["aliases/acme/chat/production.json"]
    assert sorted(key for key in asked if key.startswith("deployments/")) == [done.key, planted.key]


def test_deployments_are_chosen_by_model_environment_and_age(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, "acme/other", {"a": b"a"})
    registry.pull(PRODUCTION)
    registry.pull("acme/other:1")
    report_here(registry)
    registry.report(PRODUCTION, environment="staging", instance="node-2")
    registry.report("acme/other:1", environment="prod", instance="node-3")

    def names(*arguments: Any, **options: Any) -> list[str]:
        found = list_deployments(*arguments, **options).observed
        return [item.deployment.place.instance for item in found if item.deployment]

    session = registry.session
    assert names(session) == ["node-1", "node-2", "node-3"]
    assert names(session, parse_model_name("acme/other")) == ["node-3"]
    assert names(session, environment="prod") == ["node-1", "node-3"]
    assert names(session, stale_days=2.0) == []
    later = datetime.now(UTC) + timedelta(days=3)
    assert names(replace(session, clock=replace(session.clock, now=lambda: later)), stale_days=2.0) != []


def test_a_head_that_cannot_be_read_is_told_and_the_rest_is_shown(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, "acme/other", {"a": b"a"})
    registry.pull(PRODUCTION)
    registry.pull("acme/other:1")
    report_here(registry)
    report_here(registry, "acme/other:1", "node-2")
    plant(tmp_path / "registry", "heads/acme/other.json", b"{}")
    assert standings(registry) == {"node-1": "current", "node-2": "unknown"}


def test_deployments_of_a_registry_that_is_none_are_an_error(tmp_path: Path, registry: Registry) -> None:
    assert registry.deployments().observed == ()
    (tmp_path / "empty").mkdir()
    with open_reader(str(tmp_path / "empty")) as reader, pytest.raises(NotFoundError, match="no registry"):
        reader.deployments()
