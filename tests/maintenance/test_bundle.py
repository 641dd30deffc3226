"""Is a bundle the registry in one file, whole or not there, and is nothing believed that was changed in it?"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, NotFoundError, RejectedError, UsageError
from bucketry.maintenance.bundle.exporting import export_bundle, find_bundle_signer, plan_export
from bucketry.maintenance.bundle.importing import find_way, import_fork, import_replica
from bucketry.maintenance.bundle.layout import FOOTER_BYTES
from bucketry.maintenance.bundle.reading import Bundle, open_bundle
from bucketry.maintenance.bundle.verifying import verify_bundle
from bucketry.maintenance.bundle.versions import session_of
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.maintenance.mirror.mirror import MirrorOptions
from bucketry.maintenance.mirror.restore import make_registry
from bucketry.registry.core.opening import create_registry, open_session
from bucketry.registry.core.resolve import resolve
from bucketry.registry.review.policies import set_policy
from bucketry.registry.versions.lifecycle import edit_model
from bucketry.schema import keys
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.names import parse_model_name, parse_reference
from bucketry.store.contract import Entry, IfAbsent, ObjectNotFoundError
from maintenance.planting import made
from maintenance.replicas import Noting, assert_whole, content
from registry.in_memory import CHAT as CHAT_NAME
from registry.in_memory import open_in_memory
from simulation.scenes import FEW, SEALED, founder

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.client import Registry
    from bucketry.registry.core.session import Session
    from simulation.scenes import Beginning


def source_of(beginning: Beginning = FEW) -> Session:
    bucket = Noting("s3://source")
    bucket.restore(made(beginning).snapshot())
    return founder(bucket)


def place() -> Session:
    return founder(Noting("s3://elsewhere"))


def bring(path: Path, target: Session) -> None:
    with open_bundle(path) as bundle:
        assert find_way(bundle, target)
        report = import_replica(bundle, target, MirrorOptions())
    assert report.failures == ()
    assert report.complete


@pytest.mark.parametrize("beginning", [FEW, SEALED])
def test_what_is_imported_into_an_empty_place_is_the_registry_itself(beginning: Beginning, tmp_path: Path) -> None:
    source, target = source_of(beginning), place()
    before = content(source.store)
    done = export_bundle(source, tmp_path / "all.bundle")
    bring(tmp_path / "all.bundle", target)
    assert content(target.store) == before == content(source.store)
    assert_whole(target)
    assert target.registry.registry == source.registry.registry
    assert (done.models, done.objects) == (2, len(before) + 1)
    assert {(str(one.model), one.row.version) for one in done.versions} >= {("acme/chat", 1)}
    assert all(one.is_here for one in done.versions)
    make_registry(target)
    assert target.registry.replica is None
    assert_whole(target)


def test_a_bundle_is_whole_by_itself_and_says_what_was_planned(tmp_path: Path) -> None:
    source = source_of()
    plan = plan_export(source, ())
    assert list(tmp_path.iterdir()) == []
    done = export_bundle(source, tmp_path / "all.bundle")
    assert (done.models, done.registry) == (plan.models, plan.registry)
    with open_bundle(tmp_path / "all.bundle") as bundle:
        assert verify_bundle(bundle).wrong == ()
        assert bundle.digest == done.digest
        assert bundle.size_bytes == done.size_bytes == (tmp_path / "all.bundle").stat().st_size
        assert check_registry(session_of(bundle), deep=True).findings == ()
        assert not [key for key in bundle.keys if key.startswith((keys.REPLICA, keys.PROBE))]


def test_a_later_bundle_brings_a_replica_up_to_date(registry: Registry, tmp_path: Path) -> None:
    source, target = registry.session, place()
    export_bundle(source, tmp_path / "first.bundle")
    bring(tmp_path / "first.bundle", target)
    registry.publish(CHAT_NAME, tmp_path / "files", notes="second")
    registry.promote(f"{CHAT_NAME}:2", "production")
    export_bundle(source, tmp_path / "second.bundle")
    bring(tmp_path / "second.bundle", target)
    assert content(target.store) == content(source.store)
    bring(tmp_path / "second.bundle", target)
    with pytest.raises(AssertionError):
        bring(tmp_path / "first.bundle", target)
    assert content(target.store) == content(source.store)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Return a registry with a version that production names, and a file of two chunks and more."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "model.safetensors").write_bytes(b"weights!" * 2_400_000)
    (files / "config.json").write_bytes(b"{}")
    (files / "empty.txt").write_bytes(b"")
    return open_in_memory(files, monkeypatch)


def test_files_of_several_parts_come_back_and_a_part_of_the_registry_is_a_replica(
    registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "files" / "config.json").write_bytes(b"{ }")
    registry.publish(CHAT_NAME, tmp_path / "files", notes="second")
    path, target = tmp_path / "production.bundle", place()
    done = export_bundle(registry.session, path, [parse_reference(f"{CHAT_NAME}@production")])
    assert [(one.row.version, one.is_here) for one in done.versions] == [(1, True), (2, False)]
    bring(path, target)
    assert_whole(target)
    resolved = resolve(target, parse_reference(f"{CHAT_NAME}@production"))
    key = resolved.blob_keys()["model.safetensors"]
    assert target.store.get(key).body == b"weights!" * 2_400_000
    second = resolve(target, parse_reference(f"{CHAT_NAME}:2"))
    with pytest.raises(ObjectNotFoundError):
        target.store.stat(second.blob_keys()["config.json"])


def test_what_no_bundle_can_be_of_is_said(registry: Registry, tmp_path: Path) -> None:
    session, path = registry.session, tmp_path / "x.bundle"
    with pytest.raises(UsageError, match="whole models, or of what aliases name"):
        export_bundle(session, path, [parse_reference(f"{CHAT_NAME}:1")])
    with pytest.raises(UsageError, match="either"):
        export_bundle(session, path, [parse_reference(CHAT_NAME), parse_reference(f"{CHAT_NAME}@production")])
    for missing in ("acme/other", f"{CHAT_NAME}@canary"):
        with pytest.raises(NotFoundError):
            export_bundle(session, path, [parse_reference(missing)])
    path.write_bytes(b"somebody's")
    with pytest.raises(RejectedError, match="exists already"):
        export_bundle(session, path)
    assert path.read_bytes() == b"somebody's"


def test_an_export_that_fails_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    store = registry.session.store
    blob = next(entry.key for entry in store.list(keys.BLOBS) if isinstance(entry, Entry) and entry.size_bytes > 2)
    body = bytearray(store.get(blob).body)
    body[1] ^= 1
    store.delete(blob)
    store.put(blob, bytes(body), IfAbsent())
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CorruptError, match="are not those of the version's manifest"):
        export_bundle(registry.session, tmp_path / "all.bundle")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("size_bytes", [0, 10, -1, -FOOTER_BYTES, -200])
def test_a_bundle_that_was_cut_off_is_none(registry: Registry, tmp_path: Path, size_bytes: int) -> None:
    path = tmp_path / "all.bundle"
    export_bundle(registry.session, path)
    body = path.read_bytes()
    path.write_bytes(body[:size_bytes])
    with pytest.raises(CorruptError, match="no bundle, or one that was cut off"):
        Bundle(path)


def test_a_changed_byte_is_found_wherever_it_is(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "all.bundle"
    export_bundle(registry.session, path)
    body = path.read_bytes()
    with open_bundle(path) as bundle:
        chosen = {key.partition("/")[0]: key for key in bundle.keys if bundle.stat(key).size_bytes}
        places = {key: bundle._objects[key].pieces[0][0] + 1 for key in chosen.values()}  # noqa: SLF001 - to hit them
    for key, at in places.items():
        path.write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
        with open_bundle(path) as bundle:
            assert key in verify_bundle(bundle).wrong, key
    for at in (len(body) - FOOTER_BYTES - 3, len(body) - 2):  # in the index, in the footer
        path.write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
        with pytest.raises(CorruptError):
            Bundle(path)


def test_what_nothing_else_repeats_is_compared_with_the_index(registry: Registry, tmp_path: Path) -> None:
    edit_model(registry.session, parse_model_name(CHAT_NAME), description="as it was described")
    path = tmp_path / "all.bundle"
    export_bundle(registry.session, path)
    path.write_bytes(path.read_bytes().replace(b"as it was described", b"as it is, described"))
    with open_bundle(path) as bundle:
        assert verify_bundle(bundle).wrong == (keys.head(parse_model_name(CHAT_NAME)),)


def test_the_policy_that_registry_json_names_comes_along(registry: Registry, tmp_path: Path) -> None:
    set_policy(registry.session, None, parse_policy_toml("approvals_required = 1", what="the policy"))
    path, target = tmp_path / "all.bundle", place()
    export_bundle(registry.session, path)
    bring(path, target)
    assert list(target.store.list(keys.POLICIES))
    assert_whole(target)


def test_a_signature_says_whose_key_it_was_and_is_over_all_of_it(registry: Registry, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    signer = find_bundle_signer(str(key))
    path, other = tmp_path / "signed.bundle", tmp_path / "other.bundle"
    done = export_bundle(registry.session, path, signer=signer)
    assert done.signed_by == signer.public_key.fingerprint
    with open_bundle(path, signer=done.signed_by) as bundle:
        assert verify_bundle(bundle).wrong == ()
    export_bundle(registry.session, other)
    with pytest.raises(RejectedError, match="signed by nobody"), open_bundle(other, signer=done.signed_by):
        pass
    with pytest.raises(RejectedError, match="not by SHA256:other"), open_bundle(path, signer="SHA256:other"):
        pass
    with path.open("rb") as file:
        armored = file.read().rpartition(b"-----BEGIN SSH SIGNATURE-----")[2][:-FOOTER_BYTES]
    (tmp_path / "payload.sig").write_bytes(b"-----BEGIN SSH SIGNATURE-----" + armored)
    checked = subprocess.run(
        ["ssh-keygen", "-Y", "check-novalidate", "-n", "bundle@bucketry", "-s", tmp_path / "payload.sig"],
        input=b"bucketry bundle 1\n" + done.digest.encode() + b"\n",
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert done.signed_by in checked.stdout.decode()


def test_another_registry_gets_the_versions_with_their_digests_and_without_reviews(
    registry: Registry, tmp_path: Path
) -> None:
    registry.publish("acme/tuned", tmp_path / "files", base=f"{CHAT_NAME}:1", relation="finetune")
    registry.publish(CHAT_NAME, tmp_path / "files", notes="refused")
    registry.review(f"{CHAT_NAME}:1", "approve")
    registry.review(f"{CHAT_NAME}:2", "reject", comment="worse")
    path = tmp_path / "all.bundle"
    export_bundle(registry.session, path)
    create_registry(str(tmp_path / "other"), identity="bo@example.org")
    other = open_session(str(tmp_path / "other"), identity="bo@example.org")
    with open_bundle(path) as bundle:
        assert not find_way(bundle, other)
        plan = import_fork(bundle, other, dry_run=True)
        assert sum(one.created for one in plan.versions) == 2
        fork = import_fork(bundle, other)
        told = {(str(one.bundled.model), one.bundled.row.version): one.left_out for one in fork.versions}
        assert told == {(CHAT_NAME, 1): "", ("acme/tuned", 1): "", (CHAT_NAME, 2): "it is rejected"}
        assert fork.failure is None
        again = import_fork(bundle, other)
        assert not any(one.created for one in again.versions)
    for name in (f"{CHAT_NAME}:1", "acme/tuned:1"):
        ours, theirs = (resolve(session, parse_reference(name)) for session in (registry.session, other))
        assert (ours.digest, ours.manifest) == (theirs.digest, theirs.manifest)
        assert theirs.state == "registered"
    assert not list(other.store.list(keys.REVIEWS))
    assert check_registry(other, deep=True).findings == ()
    with open_bundle(path) as bundle, pytest.raises(RejectedError, match="the registry itself"):
        find_way(bundle, registry.session)


def test_a_version_without_its_files_or_its_base_is_told_and_the_others_go_on(
    registry: Registry, tmp_path: Path
) -> None:
    registry.publish("acme/base", tmp_path / "files", notes="base")
    registry.publish("acme/tuned", tmp_path / "files", base="acme/base:1", relation="finetune")
    path = tmp_path / "tuned.bundle"
    export_bundle(registry.session, path, [parse_reference("acme/tuned"), parse_reference(CHAT_NAME)])
    create_registry(str(tmp_path / "other"), identity="bo@example.org")
    other = open_session(str(tmp_path / "other"), identity="bo@example.org")
    with open_bundle(path) as bundle:
        fork = import_fork(bundle, other)
    told = {str(one.bundled.model): one.version for one in fork.versions}
    assert told == {CHAT_NAME: 1, "acme/tuned": None}
    assert isinstance(fork.failure, NotFoundError)
