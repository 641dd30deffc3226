"""Is the package as light, as read-only and as tidy as it says?"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bucketry
from bucketry.client import open_registry
from bucketry.errors import BucketryError, RejectedError
from bucketry.registry.core.opening import create_registry

if TYPE_CHECKING:
    from collections.abc import Collection

ROOT = Path(__file__).parents[1]
TOP_LEVEL = {"pyproject.toml", "README.md", "src", "tests", "docs", "infra"}
WRITERS = (
    "delete",
    "delete_all_versions",
    "evaluate",
    "publish",
    "promote",
    "roll_back",
    "undo",
    "unset",
    "retire",
    "review",
    "unretire",
)
STORES_AND_SCREENS = ("boto3", "botocore", "textual", "rich")
HEAVY = (*STORES_AND_SCREENS, "numpy", "cryptography", "click")
LIST_MODULES = """
import json, sys
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.fixture
def registry_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder registry with one version, named by the alias `production`."""
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(b"weights")
    create_registry(str(tmp_path / "registry"), identity="ada@example.org")
    with open_registry(str(tmp_path / "registry"), identity="ada@example.org") as registry:
        registry.publish("acme/chat", [tmp_path / "weights.bin"])
        registry.promote("acme/chat:1", "production")
    return tmp_path / "registry"


def modules_loaded_by(program: str, *arguments: str) -> set[str]:
    """Return the top-level names of all modules that a fresh interpreter has after running the program."""
    command = [sys.executable, "-c", program + LIST_MODULES, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
    return set(json.loads(done.stdout))


def check_absent(names: Collection[str], loaded: set[str]) -> None:
    assert "bucketry" in loaded
    assert loaded.isdisjoint(names), sorted(loaded.intersection(names))


def test_importing_the_package_loads_nothing_heavy() -> None:
    check_absent(HEAVY, modules_loaded_by("import bucketry"))


def test_importing_the_package_loads_no_layer_below() -> None:
    program = "import bucketry, sys; assert [m for m in sys.modules if m.startswith('bucketry')] == ['bucketry']"
    check_absent((), modules_loaded_by(program))


def test_the_first_picture_of_the_screens_waits_for_no_refresh_and_no_gates() -> None:
    program = """
import sys
import bucketry.tui.shell.launch, bucketry.tui.shell.app, bucketry.tui.data.source, bucketry.tui.screens.models
late = {"bucketry.index.refresh", "bucketry.registry.review.gating", "bucketry.schema.judging.comparison"}
assert not late & set(sys.modules), late & set(sys.modules)
"""
    check_absent((), modules_loaded_by(program))


def test_resolving_in_a_folder_loads_neither_an_s3_client_nor_a_screen(registry_folder: Path) -> None:
    program = """
import bucketry, sys
with bucketry.open_reader(sys.argv[1]) as reader:
    assert reader.resolve("acme/chat@production").version == 1
"""
    check_absent(STORES_AND_SCREENS, modules_loaded_by(program, str(registry_folder)))


def test_a_reader_has_no_method_that_writes(registry_folder: Path) -> None:
    with bucketry.open_reader(str(registry_folder)) as reader:
        for name in WRITERS:
            assert hasattr(bucketry.Registry, name)
            assert not hasattr(reader, name)


def test_every_method_that_a_registry_adds_to_a_reader_is_known_to_write() -> None:
    added = {name for name in vars(bucketry.Registry) if not name.startswith("_")}
    assert added == set(WRITERS)


def test_the_session_of_a_reader_refuses_to_write_too(registry_folder: Path) -> None:
    with bucketry.open_reader(str(registry_folder)) as reader:
        forged = bucketry.Registry(reader.session)
        with pytest.raises(RejectedError, match="read-only"):
            forged.promote("acme/chat:1", "other")


@pytest.mark.parametrize("name", bucketry.__all__)
def test_every_public_name_resolves_and_is_listed(name: str) -> None:
    assert callable(getattr(bucketry, name))
    assert name in dir(bucketry)


def test_every_public_error_is_in_the_package_and_has_an_exit_code_of_its_own() -> None:
    errors = [value for name in bucketry.__all__ if isinstance(value := getattr(bucketry, name), type)]
    codes = {value.exit_code for value in errors if issubclass(value, BucketryError)}
    assert codes == {1, 2, 3, 4, 5, 6, 7, 8, 9}


def test_an_error_that_nobody_catches_shows_what_to_do() -> None:
    shown = "".join(traceback.format_exception(bucketry.UsageError("no such thing", advice="try another")))
    assert "no such thing\ndo this: try another" in shown
    assert str(bucketry.UsageError("no such thing", advice="try another")) == "no such thing"


def test_the_program_of_the_guide_publishes_as_it_stands(registry_folder: Path, tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "publishing.md").read_text(encoding="utf-8")
    program = guide.partition("```python\n")[2].partition("```")[0].replace("s3://models/prod", str(registry_folder))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "weights").write_bytes(b"w")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with bucketry.open_reader(str(registry_folder)) as reader:
        shown = reader.show("acme/chat")
    assert shown.resolved.manifest.training.seed == 7
    assert {metric["name"] for one in shown.evidence for metric in one["metrics"]} >= {"rating", "accuracy"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = bucketry.nonsense


def test_the_top_level_of_the_repository_holds_nothing_unexpected() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is not a git checkout, or there is no git")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    top = {path.partition("/")[0] for path in listed.split("\0") if path}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL
