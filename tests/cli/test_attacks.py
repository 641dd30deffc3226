"""Can somebody who writes the bucket deceive the people at the command line, or a container that runs it?

Each test is named for its attack. The bytes in the bucket are changed behind the registry's back; the program is ours.
What a strict reader does about signatures has its own tests; here is the program as people and containers run it.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.schema.codec import digest_of, encode
from bucketry.store.contract import Entry, IfAbsent, IfMatch
from bucketry.store.folder.store import FolderStore
from cli.harness import run_alone
from trust.openssh import NEED_SSH_KEYGEN, make_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.harness import Program

HEAD, ALIAS = "heads/acme/chat.json", "aliases/acme/chat/production.json"
ANNA, BERT = "anna@example.org", "bert@example.org"
POLICY = 'approvals_required = 2\nseparate_duties = true\nprotected_aliases = ["production"]\n'
GATE = '[[gate]]\nmetric = "auc"\nat_least = 0.9\n'


@dataclass
class Office:
    """A registry with a policy and version 1, everybody at the command line, and the bucket as an attacker sees it."""

    program: Program
    folder: Path
    files: Path
    become: Callable[[str], None]

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.folder / "registry")

    def read(self, key: str) -> Any:
        return json.loads(self.store.get(key).body)

    def write(self, key: str, document: Any) -> None:
        """Overwrite a document; what is named by its content is broken by that."""
        body = document if isinstance(document, bytes) else encode(document)
        self.store.put(key, body, IfMatch(self.store.get(key).etag))

    def keys(self, prefix: str) -> list[str]:
        return [entry.key for entry in self.store.list(prefix) if isinstance(entry, Entry)]

    def replant(self, key: str, change: Callable[[dict[str, Any]], object]) -> str:
        """Write a changed copy of a document beside it, under the name that its bytes have."""
        document = self.read(key)
        change(document)
        body = encode(document)
        new = f"{key.rpartition('/')[0]}/{digest_of(body)}.json"
        self.store.put(new, body, IfAbsent())
        return digest_of(body)

    def change_row(self, **changes: object) -> None:
        head = self.read(HEAD)
        head["rows"][0] |= changes
        self.write(HEAD, head)

    def approve(self, *people: str) -> None:
        for person in people:
            self.become(person)
            self.program.ok("review", "approve", "acme/chat:1", "--comment", "looked at it")
        self.become("ada@example.org")

    def measure(self, auc: float) -> None:
        (self.folder / "m.json").write_text(json.dumps({"auc": auc}))
        self.program.ok("evaluate", "acme/chat:1", "--evidence", self.folder / "m.json")

    def set_policy(self, text: str) -> None:
        (self.folder / "policy.toml").write_text(text)
        self.program.ok("policy", "set", "acme/chat", "--yes", self.folder / "policy.toml")


@pytest.fixture
def office(program: Program, registry: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    assert registry.exists()
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("BUCKETRY_STATE", str(tmp_path / "state"))
    program.ok("publish", "acme/chat", files)
    one = Office(program, tmp_path, files, lambda name: monkeypatch.setenv("BUCKETRY_IDENTITY", name))
    one.set_policy(POLICY)
    return one


def test_forged_approval_in_the_head(office: Office) -> None:
    """The state in the head is a word; what counts are the decisions that the dossier cites."""
    office.change_row(state="approved")
    told = office.program.fails(4, "promote", "acme/chat:1", "production")
    assert "version 1 has 0 of 2 approvals" in told


def test_an_approval_without_its_object(office: Office) -> None:
    office.approve(ANNA, BERT)
    for key in office.keys("reviews/"):
        office.store.delete(key)
    assert "is missing" in office.program.fails(8, "promote", "acme/chat:1", "production")


def test_edited_approval(office: Office) -> None:
    office.approve(ANNA)
    (key,) = office.keys("reviews/")
    review = office.read(key)
    payload = base64.b64decode(review["payload"]).replace(ANNA.encode(), BERT.encode())
    office.write(key, review | {"payload": base64.b64encode(payload).decode()})
    assert "are not those that its name says" in office.program.fails(8, "promote", "acme/chat:1", "production")


def test_approvals_replayed_from_another_version(office: Office) -> None:
    office.approve(ANNA, BERT)
    office.program.ok("publish", "acme/chat", office.files, "--notes", "never looked at")
    head = office.read(HEAD)
    head["rows"][1]["dossier"] = head["rows"][0]["dossier"]
    office.write(HEAD, head)
    assert "is about another version than 2" in office.program.fails(8, "promote", "acme/chat:2", "production")
    assert "is about another version than 2" in office.program.fails(8, "show", "acme/chat:2")


def test_one_approval_replayed_from_another_version(office: Office) -> None:
    office.approve(ANNA, BERT)
    (review, *_) = office.keys("reviews/")
    office.program.ok("publish", "acme/chat", office.files, "--notes", "never looked at")
    office.program.ok("review", "request", "acme/chat:2")
    head = office.read(HEAD)

    def cite(dossier: dict[str, Any]) -> None:
        dossier["reviews"].append({"key": review, "sha256": digest_of(office.store.get(review).body)})

    head["rows"][1]["dossier"] = office.replant(f"pages/acme/chat/{head['rows'][1]['dossier']}.json", cite)
    office.write(HEAD, head)
    assert "is about another version" in office.program.fails(8, "promote", "acme/chat:2", "production")


def test_approvals_replayed_from_another_model(office: Office) -> None:
    office.approve(ANNA, BERT)
    office.program.ok("publish", "acme/other", office.files)
    (office.folder / "policy.toml").write_text(POLICY)
    office.program.ok("policy", "set", "acme/other", office.folder / "policy.toml")
    other = office.read("heads/acme/other.json")
    dossier = office.read(HEAD)["rows"][0]["dossier"]
    body = office.store.get(f"pages/acme/chat/{dossier}.json").body
    office.store.put(f"pages/acme/other/{dossier}.json", body, IfAbsent())
    other["rows"][0]["dossier"] = dossier
    office.write("heads/acme/other.json", other)
    assert "is about another version than 1" in office.program.fails(8, "promote", "acme/other:1", "production")


def test_evidence_changed_after_approval(office: Office) -> None:
    """An approval that was given on an evaluation does not count once that evaluation is gone."""
    office.measure(0.95)
    office.approve(ANNA, BERT)
    row = office.read(HEAD)["rows"][0]
    dossier = office.replant(f"pages/acme/chat/{row['dossier']}.json", lambda document: document.update(evidence=[]))
    office.change_row(dossier=dossier)
    told = office.program.fails(4, "promote", "acme/chat:1", "production")
    assert f"0 of 2 approvals; {ANNA} does not count: given on evidence that is no longer there" in told
    assert (
        f"{BERT} does not count: given on evidence that is no longer there"
        in office.program.ok("show", "acme/chat:1").text
    )


def test_numbers_of_an_evaluation_changed_after_approval(office: Office) -> None:
    office.set_policy(POLICY + GATE)
    office.measure(0.95)
    office.approve(ANNA, BERT)
    (key,) = office.keys("evidence/")
    document = office.read(key)
    document["metrics"][0]["value"] = 0.99
    office.write(key, document)
    assert "are not those that its name says" in office.program.fails(8, "promote", "acme/chat:1", "production")


def test_worse_evidence_added_after_approval(office: Office) -> None:
    office.set_policy(POLICY + GATE)
    office.measure(0.95)
    office.approve(ANNA, BERT)
    office.measure(0.5)
    told = office.program.fails(4, "promote", "acme/chat:1", "production")
    assert "cannot be promoted, 1 of 1 gates failed: auc >= 0.9: 0.5" in told


def test_hidden_revocation_in_the_head(office: Office) -> None:
    """Somebody takes the refusal out of the head; the alias that it was told to still knows."""
    office.approve(ANNA, BERT)
    office.program.ok("promote", "acme/chat:1", "production")
    before = office.read(HEAD)["rows"][0]
    office.become(ANNA)
    office.program.ok("review", "revoke", "acme/chat:1", "--comment", "leaks")
    office.change_row(dossier=before["dossier"], state=before["state"])
    assert office.program.json("resolve", "acme/chat@production")["state"] == "rejected"


def test_tampered_history(office: Office) -> None:
    head = office.read(HEAD)
    head["recent"][0]["actor"] = "somebody-else@example.org"
    office.write(HEAD, head)
    told = office.program.run("audit", "acme/chat", "--verify")
    assert told.code == 8
    assert "broken" in told.errors
    assert office.program.run("audit", "acme/chat", "--verify", "--json").document["verified"] is False


def test_records_taken_out_of_the_history(office: Office) -> None:
    office.measure(0.9)
    head = office.read(HEAD)
    del head["recent"][1]
    office.write(HEAD, head)
    assert office.program.run("audit", "acme/chat", "--verify").code == 8


def test_swapped_manifest(office: Office) -> None:
    (key,) = office.keys("manifests/acme/chat/")
    office.write(key, office.read(key) | {"created_by": ANNA})
    for command in ("show", "pull", "gates", "lineage", "diff"):
        more = ["acme/chat:1"] if command == "diff" else []
        ran = office.program.run(command, "acme/chat:1", *more)
        assert ran.code == (0 if command == "gates" else 8), (command, ran)


def test_manifest_of_another_model(office: Office) -> None:
    """A planted manifest must say for which model it is, or one model's files could be served as another's."""
    office.program.ok("publish", "acme/other", office.files, "--notes", "planted")
    (planted,) = office.keys("manifests/acme/other/")
    body = office.store.get(planted).body
    office.store.put(planted.replace("other", "chat"), body, IfAbsent())
    office.change_row(manifest=digest_of(body))
    assert "is the manifest of acme/" in office.program.fails(8, "pull", "acme/chat:1", office.folder / "got")


def test_swapped_blob(office: Office) -> None:
    for key in office.keys("blobs/"):
        found = office.store.get(key)
        office.write(key, bytes(len(found.body)))
    ran = office.program.run("pull", "acme/chat:1", office.folder / "got")
    assert ran.code == 8
    assert not (office.folder / "got").exists()


def test_head_of_another_model(office: Office) -> None:
    office.program.ok("publish", "acme/other", office.files, "--notes", "other")
    office.write(HEAD, office.store.get("heads/acme/other.json").body)
    assert "holds the head of acme/other, not of acme/chat" in office.program.fails(8, "versions", "acme/chat")


@pytest.mark.parametrize("key", [HEAD, "registry.json"])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"format": 1, "x": "' + b"a" * (9 * 1024 * 1024) + b'"}', "limit"),
        (b'{"format": 1, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper than 32 levels"),
        (b'{"format": 1, "rows": [], "rows": [1]}', "JSON"),
        (b'{"format": 99}', "format 99"),
        (b"\xef\xbb\xbf{}", "JSON"),
        (b'{"format": 1, "next_version": NaN}', "JSON"),
    ],
    ids=["oversized", "deeply nested", "duplicate keys", "a newer format", "a byte order mark", "not a number"],
)
def test_documents_that_are_bombs(office: Office, key: str, body: bytes, reason: str) -> None:
    office.write(key, body)
    commands: list[tuple[str, ...]] = [("promote", "acme/chat:1", "staging")]
    if key == HEAD:  # who only reads a model does not need the other
        commands += [("versions", "acme/chat"), ("show", "acme/chat:1")]
    for command in commands:
        ran = office.program.run(*command)
        assert ran.code in {8, 9}, (command, ran)
        assert reason in ran.errors


def test_a_decision_submitted_unsigned_in_somebody_elses_name(office: Office) -> None:
    """`--signature` is for what was signed elsewhere: a file that only claims a name is not that."""
    office.become(ANNA)
    printed = office.program.json("review", "approve", "acme/chat:1", "--detached")
    office.become("eve@example.org")
    path = office.folder / "decision.json"
    path.write_text(json.dumps({"payload": printed["payload"], "sshsig": None}))
    assert "is not signed" in office.program.fails(2, "review", "approve", "acme/chat:1", "--signature", path)


@NEED_SSH_KEYGEN
def test_a_container_is_given_an_unsigned_version_and_a_strict_one(office: Office) -> None:
    """The policy is what the bucket says, and the bucket says that nothing is needed."""
    office.set_policy("protected_aliases = []\n")
    office.program.ok("promote", "acme/chat:1", "production")
    trust = _trust_file(office)
    pull = ("-r", office.folder / "registry", "pull", "acme/chat@production", office.folder / "served")
    ran = run_alone(*pull, "--trust", trust)
    assert ran.code == 4
    assert ran.errors.count("\n") == 1
    assert "is not trusted here: it has 0 of 1 approvals" in ran.errors
    assert not (office.folder / "served").exists()
    office.become(ANNA)
    office.program.ok("review", "approve", "acme/chat:1", "--sign", office.folder / "id_ed25519_anna")
    assert run_alone(*pull, "--trust", trust).code == 0
    office.program.ok("review", "revoke", "acme/chat:1", "--comment", "leaks")
    told = run_alone(*pull, "--trust", trust)
    assert told.code == 4, "a refusal that nobody signed stops a version too"
    assert "was told at generation 3 that it was rejected" in told.errors


def _trust_file(office: Office) -> Path:
    public = make_key(office.folder, comment="anna").with_suffix(".pub").read_text().split()[:2]
    registry = office.read("registry.json")["registry"]
    path = office.folder / "trust.toml"
    path.write_text(
        f'registry = "{registry}"\n[[signer]]\nprincipal = "{ANNA}"\n'
        f"allowed = '{ANNA} namespaces=\"review@bucketry\" {' '.join(public)}'\n"
        f'[[rule]]\nmodels = ["acme/*"]\naliases = ["production"]\napprovals = 1\nby = ["{ANNA}"]\n'
    )
    path.chmod(0o644)
    return path
