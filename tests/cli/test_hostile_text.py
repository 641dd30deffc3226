"""Can anybody who writes the bucket, and not only its documents' usual fields, speak to somebody's terminal?

Every text in every document of a registry is replaced, one after the other, by one that clears the screen, colours,
rings, turns the writing round and opens markup. What content decides the name of is named anew, and whatever cites it
cites the new name. Then people look. A document may be refused as damaged; raw it may not be shown.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from bucketry.store.contract import Entry, IfAbsent, IfMatch
from bucketry.store.folder.store import FolderStore
from cli.harness import Ran, run_in_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.harness import Program

HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\r\u202e\u200b[/x][@click=app.exit]"
NAMED_BY_CONTENT = ("manifests/", "pages/", "evidence/", "reviews/", "policies/")
MOST_RENAMINGS = 20
LOOKS: tuple[tuple[str, ...], ...] = (
    ("models",),
    ("versions", "acme/chat"),
    ("versions", "acme/chat", "--metric", "auc", "--plot"),
    ("show", "acme/chat:2"),
    ("show", "acme/chat:2", "--reproduce"),
    ("reviews",),
    ("gates", "acme/chat:2"),
    ("policy", "show", "acme/chat"),
    ("policy", "show", "acme/chat", "--history"),
    ("audit", "acme/chat"),
    ("aliases", "acme/chat"),
    ("aliases", "acme/chat", "--history", "production"),
    ("lineage", "acme/chat:2"),
    ("lineage", "acme/chat:1", "--down"),
    ("diff", "acme/chat:1", "acme/chat:2", "--all"),
    ("diff", "acme/chat:1", "acme/chat:2", "--format", "markdown"),
    ("resolve", "acme/chat@production"),
    ("deployments", "acme/chat"),
    ("fsck",),
)
FIRST_LOOKS: dict[str, tuple[tuple[str, ...], ...]] = {
    "registry.json": (("models",), ("versions", "acme/chat")),
    "heads": (("versions", "acme/chat"), ("show", "acme/chat:2"), ("audit", "acme/chat")),
    "aliases": (("aliases", "acme/chat", "--history", "production"), ("resolve", "acme/chat@production")),
    "manifests": (("show", "acme/chat:2"), ("lineage", "acme/chat:2")),
    "pages": (("show", "acme/chat:2"), ("audit", "acme/chat")),
    "evidence": (("show", "acme/chat:2"), ("gates", "acme/chat:2")),
    "reviews": (("show", "acme/chat:2"), ("reviews",)),
    "policies": (("policy", "show", "acme/chat"), ("gates", "acme/chat:2")),
}
"""Where the texts of each kind of document are seen first."""
POLICY = """
approvals_required = 1
reviewers = ["*@example.org"]
[[gate]]
metric = "auc"
at_least = 0.5
"""

Path_ = tuple[str | int, ...]


@dataclass
class Attacker:
    """Somebody who may write everything in the bucket, and knows how names follow from bytes."""

    store: FolderStore
    bodies: dict[str, bytes]

    @property
    def documents(self) -> dict[str, Any]:
        """Every document by its key."""
        return {key: _opened(json.loads(body)) for key, body in self.bodies.items()}

    def replace(self, documents: dict[str, Any]) -> None:
        """Make these the bucket's documents, each under the name that its bytes have."""
        bodies = _renamed({key: _written(_closed(document)) for key, document in documents.items()})
        for key in self.bodies.keys() - bodies.keys():
            self.store.delete(key)
        for key, body in bodies.items():
            if key not in self.bodies:
                self.store.put(key, body, IfAbsent())
            elif body != self.bodies[key]:
                self.store.put(key, body, IfMatch(self.store.get(key).etag))
        self.bodies = bodies


def _look_into(store: FolderStore) -> Attacker:
    keys = [entry.key for entry in store.list("") if isinstance(entry, Entry) and entry.key.endswith(".json")]
    return Attacker(store, {key: store.get(key).body for key in keys})


def _opened(document: Any) -> Any:
    """Return a document with the payloads of its reviews as documents."""
    if isinstance(document, dict):
        opened = {name: _opened(value) for name, value in document.items()}
        if isinstance(opened.get("payload"), str):
            opened["payload"] = json.loads(base64.b64decode(opened["payload"]))
        return opened
    return [_opened(value) for value in document] if isinstance(document, list) else document


def _closed(document: Any) -> Any:
    if isinstance(document, dict):
        closed = {name: _closed(value) for name, value in document.items()}
        if isinstance(closed.get("payload"), dict):
            closed["payload"] = base64.b64encode(_written(closed["payload"])).decode()
        return closed
    return [_closed(value) for value in document] if isinstance(document, list) else document


def _written(document: Any) -> bytes:
    """Return the bytes that our program would have written."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def _renamed(bodies: dict[str, bytes]) -> dict[str, bytes]:
    """Return the bodies under the names that follow from them, with every mention of an old name replaced."""
    for _ in range(MOST_RENAMINGS):
        names = {}
        for key, body in bodies.items():
            old, new = key.rpartition("/")[2].removesuffix(".json"), hashlib.sha256(body).hexdigest()
            if key.startswith(NAMED_BY_CONTENT) and old != new:
                names[old] = new
        if not names:
            return bodies
        pattern = re.compile("|".join(names))
        bodies = {
            _with_names(key, pattern, names): _with_names_inside(body, pattern, names) for key, body in bodies.items()
        }
    raise AssertionError("the names do not settle")


def _with_names(text: str, pattern: re.Pattern[str], names: dict[str, str]) -> str:
    return pattern.sub(lambda found: names[found[0]], text)


def _with_names_inside(body: bytes, pattern: re.Pattern[str], names: dict[str, str]) -> bytes:
    opened = json.dumps(_opened(json.loads(body)))
    return _written(_closed(json.loads(_with_names(opened, pattern, names))))


def _texts(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yield where texts are: values, and names of fields that somebody chose."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from _texts(inner, (*path, name))
    if isinstance(value, str):
        yield path


def _poisoned(value: Any, path: Path_) -> Any:
    """Return the value with the text at a path replaced, and the name of its field where that is anybody's choice."""
    if not path:
        return HOSTILE
    name, rest = path[0], path[1:]
    if isinstance(value, list):
        return [_poisoned(inner, rest) if at == name else inner for at, inner in enumerate(value)]
    changed = dict(value)
    changed[name] = _poisoned(value[name], rest)
    if str(name).startswith("own-"):
        changed[HOSTILE] = changed.pop(name)
    return changed


def _kinds(documents: dict[str, Any]) -> dict[tuple[str, ...], list[tuple[str, Path_]]]:
    """Return every place of a text, those of one kind together: the second record of a trail is as the first."""
    kinds: dict[tuple[str, ...], list[tuple[str, Path_]]] = {}
    for key, document in documents.items():
        for path in _texts(document):
            kind = (key.partition("/")[0], *("*" if isinstance(part, int) else part for part in path))
            kinds.setdefault(kind, []).append((key, path))
    return kinds


def _assert_harmless(ran: Ran, what: object) -> None:
    _assert_harmless_text(ran.text + ran.errors, (what, ran))
    assert ran.code in {0, 2, 3, 4, 8, 9}, (what, ran)
    assert "Traceback" not in ran.errors


def _assert_harmless_text(text: str, what: object) -> None:
    raw = {character for character in text if unicodedata.category(character) in {"Cc", "Cf", "Co", "Cs"}}
    assert raw <= {"\n"}, (what, text)


@pytest.fixture
def attacker(
    program: Program, registry: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Attacker:
    """Return the attacker of a registry in which everything is that can be shown."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY)
    evidence = {
        "kind": "human",
        "harness": {"name": "panel", "version": "2", "uri": "https://example.org"},
        "dataset": {"name": "d", "version": "7", "split": "test", "digest": "1c"},
        "metrics": [{"name": "auc", "value": 0.9, "unit": "points", "direction": "higher", "slice": {"own-age": "18"}}],
        "notes": "three judges",
    }
    (tmp_path / "evidence.json").write_text(json.dumps(evidence))
    publish: list[str | Path] = [
        "publish",
        "acme/chat",
        files,
        "--evidence",
        tmp_path / "evidence.json",
        "--run",
        "r",
        "--cost",
        "1 EUR",
    ]
    publish += ["--dataset", "name=web,version=3,digest=ab,uri=s3://x", "--param", "own-lr=fast", "--label", "t=x"]
    publish += ["--experiment", "e", "--pipeline", "name=p,run=1,uri=u", "--framework", "f", "--hardware", "h"]
    program.ok(*publish, "--notes", "first", "--command", "train.py")
    program.ok(
        *publish,
        "--base",
        "acme/chat:1",
        "--relation",
        "finetune",
        "--notes",
        "n",
        "--request-review",
        "--command",
        "t.py",
    )
    program.ok("policy", "set", "acme/chat", tmp_path / "policy.toml")
    (tmp_path / "evidence.json").write_text(json.dumps(evidence | {"notes": "again", "kind": "safety"}))
    program.ok("evaluate", "acme/chat:2", "--evidence", tmp_path / "evidence.json")
    program.ok("review", "comment", "acme/chat:2", "--comment", "slow")
    program.ok("promote", "acme/chat:2", "production", "--reason", "short")
    program.ok("promote", "acme/chat:1", "production", "--reason", "a long reason " * 20)
    program.ok("edit", "acme/chat", "--description", "what it is", "--label", "team=x")
    program.ok("edit", "acme/chat:2", "--notes", "new notes")
    return _look_into(FolderStore(registry))


def test_what_is_named_anew_is_still_a_registry(program: Program, attacker: Attacker) -> None:
    documents = attacker.documents
    places = _kinds(documents)
    assert len(places) > 100
    key, path = places["manifests", "training", "command"][0]
    attacker.replace(documents | {key: _poisoned(documents[key], path)})
    shown = [program.json("show", f"acme/chat:{version}")["training"]["command"] for version in (1, 2)]
    assert HOSTILE in shown
    found = program.run("fsck", "--json").document["findings"]  # an audit record still names the evaluation as it was
    assert ["does not cite the evaluation" in finding["message"] for finding in found] == [True]


def test_hostile_text_in_every_field_that_can_be_shown(program: Program, attacker: Attacker) -> None:
    """First each alone; then all at once that a document may hold, so that none of them is hidden behind an error."""
    documents = attacker.documents
    usual = {look: program.run(*look).code for look in {look for looks in FIRST_LOOKS.values() for look in looks}}
    kept = documents
    for kind, places in _kinds(documents).items():
        changed = dict(kept)
        for key, path in places:
            changed[key] = _poisoned(changed[key], path)
        attacker.replace(changed)
        codes = []
        for look in FIRST_LOOKS[kind[0]]:
            ran = program.run(*look)
            _assert_harmless(ran, (kind, look))
            codes.append(ran.code == usual[look])
        kept = changed if all(codes) else kept
    attacker.replace(kept)
    for look in LOOKS:
        ran = program.run(*look)
        _assert_harmless(ran, look)
        assert ran.code in ({0, 8} if look[0] in {"audit", "fsck"} else {0, 4}), (look, ran)
        json.loads(program.run(*look, "--json").text)
    code, seen = run_in_terminal("show", "acme/chat:2", "--no-color", columns=200)
    assert code == 0
    _assert_harmless_text(seen, "a terminal")
    assert r"\x1b[2J" in seen
