"""Does a server's report arrive as it is, and does everybody see who serves what, whatever lies in the bucket?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cli.harness import run_in_terminal
from registry.opened import plant

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program

PRODUCTION = "acme/chat@production"
REPORT = ("report", PRODUCTION, "--environment", "prod-eu", "--instance", "node-1")


@pytest.fixture
def served(program: Program, registry: Path, files: Path, tmp_path: Path) -> Path:
    """Return a registry whose production is pulled to `dest`."""
    program.ok("publish", "acme/chat", files)
    (files / "weights.bin").write_bytes(b"second")
    program.ok("publish", "acme/chat", files)
    program.ok("promote", "acme/chat:1", "production")
    program.ok("pull", PRODUCTION, tmp_path / "dest")
    return registry


def test_what_is_reported_is_shown(program: Program, served: Path, tmp_path: Path) -> None:
    done = program.json(*REPORT, "--path", tmp_path / "dest")
    keys = {"model", "version", "manifest", "alias", "generation", "environment", "instance", "actor", "at"}
    assert set(done) == keys | {"pulled_at", "verified", "files", "size_bytes", "complete", "client"}
    assert (done["version"], done["generation"], done["verified"]) == (1, 1, "sha256")
    told = program.ok(*REPORT, "--path", tmp_path / "dest").text
    assert told == ("prod-eu/node-1 serves acme/chat:1, as production named it at generation 1 (verified by SHA-256)\n")
    [shown] = program.json("deployments")
    assert shown["key"] == "deployments/acme/chat/prod-eu/node-1.json"
    assert (served / shown["key"]).is_file()
    assert (shown["standing"], shown["state"], shown["alias_version"]) == ("current", "registered", 1)
    line = program.ok("deployments", "acme/chat").text.splitlines()[1]
    assert line.split() == ["acme/chat", "prod-eu", "node-1", "1", "production", "current", "sha256", "now"]


def test_an_instance_that_is_behind_or_serves_a_refused_version_stands_out(
    program: Program, served: Path, tmp_path: Path
) -> None:
    assert served.is_dir()
    program.ok(*REPORT, "--path", tmp_path / "dest")
    program.ok("promote", "acme/chat:2", "production")
    assert "behind by 1, now v2" in program.ok("deployments").text
    program.ok("review", "reject", "acme/chat:1", "--comment", "leaks")
    assert "REFUSED: rejected" in program.ok("deployments").text
    assert program.json("deployments")[0]["standing"] == "refused"


def test_deployments_are_filtered(program: Program, served: Path, tmp_path: Path) -> None:
    assert served.is_dir()
    assert program.ok("deployments").text == "nobody has reported\n"
    program.ok(*REPORT, "--path", tmp_path / "dest")
    assert program.json("deployments", "--environment", "prod-us") == []
    assert program.json("deployments", "--environment", "prod-eu") != []
    assert program.json("deployments", "acme/other") == []
    assert program.json("deployments", "--stale", "1") == []
    assert program.json("deployments", "--stale", "0") != []
    assert program.ok("deployments", "acme/chat", "--environment", "prod-us").text == (
        "nobody has reported acme/chat in prod-us\n"
    )
    assert program.ok("deployments", "--environment", "prod-eu", "--stale", "1").text == (
        "nobody who reported in prod-eu has been silent for 1 day\n"
    )
    program.fails(2, "deployments", "--environment", "Prod EU")
    program.fails(2, "deployments", "--stale", "-1")


def test_a_report_of_what_is_not_there_is_refused(program: Program, served: Path, tmp_path: Path) -> None:
    assert "nothing to report" in program.fails(4, *REPORT)  # it is not in the cache
    assert "nothing to report" in program.fails(4, *REPORT, "--path", tmp_path / "none")
    assert "no pull made" in program.fails(4, *REPORT, "--path", served)
    other = ("report", "acme/chat:2", "--environment", "prod-eu")
    assert "holds acme/chat:1" in program.fails(4, *other, "--path", tmp_path / "dest")
    (tmp_path / "dest" / "weights.bin").unlink()
    assert "missing or changed" in program.fails(4, *REPORT, "--path", tmp_path / "dest")
    program.fails(2, "report", PRODUCTION, "--environment", "prod/eu")
    program.fails(2, "report", PRODUCTION)
    program.fails(3, "report", "acme/none", "--environment", "prod")
    assert not (served / "deployments").exists()


def test_a_client_that_must_not_write_reports_nothing(program: Program, served: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[registries.prod]\nurl = "{served}"\nread_only = true\n')
    told = program.fails(4, *REPORT, "--path", tmp_path / "dest", "-r", "prod")
    assert "read-only, so nothing is reported" in told


def test_what_somebody_planted_is_one_harmless_line(program: Program, served: Path, tmp_path: Path) -> None:
    program.ok(*REPORT, "--path", tmp_path / "dest")
    key = "deployments/acme/chat/prod-eu/node-1.json"
    document = json.loads((served / key).read_bytes())
    hostile = "\x1b[2J\u202e[@click=app.exit]"
    for number, field in enumerate(("client", "registry", "model", "alias", "actor", "at", "verified", "environment")):
        place = f"deployments/acme/chat/prod-eu/planted-{number}.json"
        planted = document | {"instance": f"planted-{number}", field: hostile}
        plant(served, place, json.dumps(planted).encode())
    plant(served, "deployments/acme/chat/prod-eu/a\x1b[2Jb.json", b"{}")
    text = program.ok("deployments").text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text.splitlines()) == 11
    code, shown = run_in_terminal("deployments", "--no-color")
    assert code == 0
    assert "\x1b[2J" not in shown
    assert [item["standing"] for item in program.json("deployments")].count("damaged") >= 6
