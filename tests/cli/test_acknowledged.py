"""Whatever stands on the command line: refused with nothing changed, or read by every other command afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples import of_hundred

if TYPE_CHECKING:
    from cli.harness import Program

LONG = "x" * 65_537
TEXTS = [
    "", " ", "3", "nan", "x=y", "name=x", "a=\x1b[2J", "name=\u202e,version=\x07", "name=a,rows=9", "name=\u2028",
    "\x1b[2J", "a\nb", "\u2028", "\ud800", "\udcff", "x=\udcff", "é" * 300, "x" * 8_193, LONG, f"a={LONG}",
    f"name={LONG}", f"name=a,uri={LONG}", f"a={'1' * 400}", "a=1e999", "a=NaN", '"' * 64, "../x", "a" * 70 + "=x",
    "auc=higher", "main", "--", "-1",
]  # fmt: skip
FILES = {
    "plain.json": b'{"auc": 0.5}',
    "long.json": b'{"kind": "human", "notes": "' + LONG.encode() + b'", "metrics": []}',
    "typed.json": b'{"notes": 5, "metrics": [{"name": "auc", "value": 1, "unit": 3}]}',
    "escape.json": b'{"a\\u001b[2Juc": 0.5}',
    "surrogate.json": b'{"notes": "\\ud800", "metrics": [{"name": "auc", "value": 1}]}',
    "nan.json": b'{"auc": NaN}',
    "many.json": b'{"auc": 1' + b"".join(b', "m%d": 0.5' % n for n in range(300)) + b"}",
}
PUBLISH = (
    "--notes", "--cost", "--framework", "--hardware", "--experiment", "--run", "--command", "--label", "--param",
    "--dataset", "--pipeline", "--idempotency-key", "--seed", "--duration", "--base", "--card",
)  # fmt: skip
OTHERS = (
    ("evaluate", "acme/chat:1", "--evidence", "plain.json", "--dataset"),
    ("evaluate", "acme/chat:1", "--evidence", "plain.json", "--harness"),
    ("evaluate", "acme/chat:1", "--evidence", "plain.json", "--direction"),
    ("edit", "acme/chat:1", "--notes"),
    ("edit", "acme/chat:1", "--label"),
    ("edit", "acme/chat", "--description"),
    ("edit", "acme/chat", "--label"),
    ("promote", "acme/chat:1", "canary", "--reason"),
    ("promote", "acme/chat:1"),
    ("rollback", "acme/chat", "production", "--to", "1", "--reason"),
    ("unset", "acme/chat", "production", "--reason"),
    ("retire", "acme/chat:1", "--reason"),
    ("delete", "acme/chat:2", "--yes", "--reason"),
    ("review", "request", "acme/chat:1", "--comment"),
    ("review", "comment", "acme/chat:1", "--comment"),
    ("review", "reject", "acme/chat:1", "--comment"),
    ("report", "acme/chat:1", "--environment"),
)
READERS = (
    ("models",), ("versions", "acme/chat"), ("show", "acme/chat:1"), ("show", "acme/chat:1", "--reproduce"),
    ("aliases", "acme/chat"), ("audit", "acme/chat", "--verify"), ("audit", "--verify"), ("fsck",), ("deployments",),
)  # fmt: skip

texts = st.sampled_from(TEXTS) | st.text(st.characters(codec=None, exclude_characters="\0"), max_size=12)
published = st.tuples(st.sampled_from(PUBLISH), texts) | st.tuples(
    st.sampled_from(["--metrics", "--evidence"]), st.sampled_from(sorted(FILES))
)
commands = st.lists(published, min_size=1, max_size=2).map(
    lambda options: ("publish", "acme/chat", "out", *(word for option in options for word in option))
) | st.tuples(st.sampled_from(OTHERS), texts).map(lambda pair: (*pair[0], pair[1]))


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def begun(program: Program, registry: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a registry of two versions, beside the files to publish."""
    assert files.is_dir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bucketry.registry.publishing.publish.capture_environment", lambda: {"python": "3"})
    monkeypatch.setattr("bucketry.registry.publishing.publish.capture_code", lambda _: ({"commit": "0" * 40}, ()))
    for name, body in FILES.items():
        Path(name).write_bytes(body)
    program.ok("publish", "acme/chat", "out", "--metrics", "plain.json")
    program.ok("publish", "acme/chat", "out", "--notes", "second")
    program.ok("promote", "acme/chat:1", "production")
    return registry


@settings(
    max_examples=of_hundred(60), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(command=commands)
def test_what_a_command_acknowledges_every_other_command_reads(
    program: Program, begun: Path, command: tuple[str, ...]
) -> None:
    kept = begun.with_name("kept")
    if not kept.exists():
        shutil.copytree(begun, kept)
    before = content(begun)
    ran = program.run(*command)
    changed = content(begun) != before
    try:
        assert ran.code in {0, 2, 3, 4, 8}, (command, ran)  # 8: a card that is no text
        assert b"Traceback" not in ran.stderr
        assert not (ran.code == 2 and changed), (command, ran)
        if changed:
            for reader in READERS:
                program.ok(*reader)
            program.ok("edit", "acme/chat:1", "--notes", "after")
    finally:
        if changed:
            shutil.rmtree(begun)
            shutil.copytree(kept, begun)


@pytest.mark.parametrize("option", ["notes", "cost", "framework", "hardware", "experiment", "run", "command"])
def test_a_text_over_the_limit_names_its_option_and_the_limit(program: Program, begun: Path, option: str) -> None:
    before = content(begun)
    said = program.fails(2, "publish", "acme/chat", "out", f"--{option}", LONG)
    assert f"{option} has 65,537 characters; the limit is 65,536" in said
    assert content(begun) == before


def test_a_metric_whose_name_holds_a_control_character_is_refused_by_its_name(program: Program, begun: Path) -> None:
    before = content(begun)
    for command in (("publish", "acme/chat", "out", "--metrics"), ("evaluate", "acme/chat:1", "--evidence")):
        assert r"has in its name a control character, \x1b" in program.fails(2, *command, "escape.json")
    assert content(begun) == before
