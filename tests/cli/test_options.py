"""Are the global options the same everywhere, and does the help explain every command, and quickly?"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bucketry import __version__
from bucketry.cli.program import COMMANDS, build

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program

LOADED = """
import sys
from bucketry.cli.program import run_command
assert run_command(sys.argv[1:]) == 0
print(sorted(name.partition(".")[0] for name in sys.modules if name.count(".") == 0), file=sys.stderr)
print([name for name in sys.modules if name.startswith("bucketry.")], file=sys.stderr)
"""


@pytest.fixture
def published(program: Program, registry: Path, files: Path) -> Path:
    program.ok("publish", "acme/chat", files)
    return registry


def test_options_stand_before_or_after_the_command(
    program: Program, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BUCKETRY_REGISTRY")
    for arguments in (
        ("-r", published, "--json", "resolve", "acme/chat:1"),
        ("resolve", "acme/chat:1", "--registry", published, "--json"),
        ("--json", "resolve", "-r", published, "acme/chat:1"),
        ("-r", "/nowhere", "--json", "resolve", "acme/chat:1", "-r", published),
    ):
        assert program.ok(*arguments).document["version"] == 1


def test_the_flag_wins_over_the_environment_and_that_over_the_configuration(
    program: Program, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.ok("init", tmp_path / "other")
    config = tmp_path / "config.toml"
    config.write_text(f'[registries.mine]\nurl = "{published}"\n[registries.other]\nurl = "{tmp_path}/other"\n')
    assert len(program.json("models")) == 1
    assert program.json("models", "-r", "other") == []
    monkeypatch.setenv("BUCKETRY_REGISTRY", "other")
    assert program.json("models") == []
    assert len(program.json("-r", "mine", "models")) == 1
    monkeypatch.delenv("BUCKETRY_REGISTRY")
    config.write_text('default = "mine"\n' + config.read_text())
    assert len(program.json("models")) == 1


def test_a_read_only_profile_refuses_every_change(program: Program, published: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[registries.safe]\nurl = "{published}"\nread_only = true\n')
    assert program.ok("-r", "safe", "show", "acme/chat").code == 0
    for arguments in (
        ("publish", "acme/chat", published / "registry.json"),
        ("promote", "acme/chat:1", "production"),
        ("retire", "acme/chat:1"),
        ("edit", "acme/chat", "--description", "x"),
    ):
        program.fails(4, "-r", "safe", *arguments)


def test_the_identity_stands_in_the_records(program: Program, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert published.is_dir()
    monkeypatch.setenv("BUCKETRY_IDENTITY", "grace@example.org")
    program.ok("promote", "acme/chat:1", "production")
    event = program.json("aliases", "acme/chat", "--history", "production")[0]
    assert event["actor"] == "grace@example.org"
    assert "acting as grace@example.org" in program.ok("models", "--verbose").errors


def test_json_is_one_document_whatever_is_said_besides(program: Program, published: Path) -> None:
    assert published.is_dir()
    program.ok("promote", "acme/chat:1", "production")
    ran = program.ok("retire", "acme/chat:1", "--json", "--verbose")
    assert ran.document["state"] == "retired"
    assert list(ran.document) == sorted(ran.document)
    assert "note: " in ran.errors


def test_the_version_is_printed(program: Program) -> None:
    assert program.ok("--version").text == f"bucketry {__version__}\n"
    assert program.json("--version") == {"version": __version__}


def test_no_command_at_all_is_a_usage_error_for_a_script(program: Program) -> None:
    assert "no command was given" in program.fails(2)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(program: Program, name: str) -> None:
    text = program.ok(name, "--help").text
    flat = " ".join(text.split())
    assert COMMANDS[name] in flat
    assert "Example:" in text
    for option in ("--registry", "--json", "--quiet", "--verbose", "--no-color", "--help"):
        assert option in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_the_list_of_commands_is_their_first_sentences(program: Program) -> None:
    listed = " ".join(program.ok("--help").text.split())
    for name, sentence in COMMANDS.items():
        assert f"{name} {sentence}" in listed
    context = build().make_context("bucketry", [], resilient_parsing=True)
    for name, sentence in COMMANDS.items():
        command = build().get_command(context, name)
        assert command is not None
        assert (command.help or "").partition("\n\n")[0].replace("\n", " ") == sentence


def test_options_say_their_defaults(program: Program) -> None:
    text = " ".join(program.ok("pull", "--help").text.split())
    assert "[default: sha256]" in text
    assert "[default: 16; 1<=x<=256]" in text


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    tops, ours = (set(json.loads(line.replace("'", '"'))) for line in done.stderr.splitlines())
    assert tops.isdisjoint({"boto3", "botocore", "textual", "rich", "orjson", "xxhash", "numpy", "cryptography"})
    assert not [name for name in ours if name.startswith(("bucketry.registry", "bucketry.store", "bucketry.transfer"))]


def test_a_folder_registry_loads_no_s3_client_and_no_screen(published: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, "-r", str(published), "resolve", "acme/chat"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    tops = set(json.loads(done.stderr.splitlines()[0].replace("'", '"')))
    assert tops.isdisjoint({"boto3", "botocore", "textual", "rich"})
