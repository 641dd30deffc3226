"""Is what is recorded of how a version was made true, and is what is not known said to be unknown?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.client import open_registry
from bucketry.errors import NotFoundError, UsageError
from bucketry.registry.publishing import capture_git
from bucketry.registry.publishing.capture import capture_code
from bucketry.registry.publishing.capture_runs import SYSTEMS, capture_run
from bucketry.registry.publishing.environment_files import check_environment, read_environment
from bucketry.registry.versions.reproduce import recipe
from bucketry.schema.documents.manifest import Lineage, Training, decode_manifest, encode_manifest
from registry.opened import make_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.client import Registry
    from bucketry.schema.documents.manifest import Manifest


def git(folder: Path, *arguments: str) -> str:
    environment = os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    own = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", "-C", str(folder), *own, *arguments], check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "train.py").write_text("print()\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def shadow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a git first in the path that does what a script says, and knows the true one as $GIT."""
    folder = tmp_path / "bin"
    folder.mkdir()
    true = subprocess.run(["sh", "-c", "command -v git"], capture_output=True, text=True, check=True).stdout.strip()
    (folder / "git").write_text(f"#!/bin/sh\nGIT={true}\n{script}\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_clean_and_a_changed_tree_are_told_apart(tree: Path) -> None:
    commit = git(tree, "rev-parse", "HEAD")
    assert capture_code(tree) == ({"commit": commit, "dirty": False}, ())
    (tree / "new.py").touch()
    assert capture_code(tree) == ({"commit": commit, "dirty": True}, ())


@pytest.mark.parametrize(
    ("remote", "recorded"),
    [
        ("https://ada:pw@host/x.git?private_token=abc", "https://host/x.git"),
        ("ssh://host/x.git#token=abc", "ssh://host/x.git"),
        ("git@host:a/b.git", "git@host:a/b.git"),
        ("/srv/git/a#b?.git", "/srv/git/a#b?.git"),
    ],
)
def test_a_repository_is_recorded_without_what_may_let_one_in(tree: Path, remote: str, recorded: str) -> None:
    git(tree, "remote", "add", "origin", remote)
    assert capture_code(tree)[0]["repository"] == recorded


def test_outside_of_a_tree_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert capture_code(tmp_path) == ({}, ())


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('case "$*" in *status*) echo broken >&2; exit 128;; *) exec $GIT "$@";; esac', "recorded as unknown: broken"),
        ('case "$*" in *status*) exec sleep 20;; *) exec $GIT "$@";; esac', "git status took over 10 seconds"),
    ],
)
def test_changes_that_git_cannot_tell_are_unknown(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    shadow(tmp_path, monkeypatch, script)
    monkeypatch.setattr(capture_git, "GIT_SECONDS", 1.0)
    code, notes = capture_code(tree)
    assert code["dirty"] is None
    assert len(str(code["commit"])) == 40
    assert [note for note in notes if words in note]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "echo \"fatal: detected dubious ownership in repository at '/x'\" >&2; exit 128",
            "`git config --global --add safe.directory",
        ),
        ("echo 'fatal: bad object HEAD' >&2; exit 128", "no commit is recorded: fatal: bad object HEAD"),
        ("exit 3", "no commit is recorded: git ended with 3"),
    ],
)
def test_a_commit_that_git_does_not_tell_is_noted(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    shadow(tmp_path, monkeypatch, script)
    code, notes = capture_code(tree)
    assert code == {}
    assert words in notes[0]


def test_a_missing_git_is_noted_where_there_is_a_tree(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert capture_code(tree) == ({}, ("no commit is recorded: git is not installed here",))
    assert capture_code(tmp_path) == ({}, ())


def test_a_tree_without_a_commit_is_noted(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert "has no commit yet" in capture_code(tmp_path)[1][0]


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE"])
def test_a_hook_s_environment_does_not_decide_for_another_folder(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    expected = capture_code(tree)
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    (other / "a").touch()
    git(other, "add", ".")
    git(other, "commit", "-qm", "other")
    monkeypatch.setenv(name, str(other / ".git" / ("index" if name == "GIT_INDEX_FILE" else "")))
    assert capture_code(tree) == expected
    (tmp_path / "none").mkdir()
    assert capture_code(tmp_path / "none") == ({}, ())


RUNS = {
    "github-actions": (
        {
            "GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "17", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_WORKFLOW": "train",
            "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/chat", "GITHUB_JOB": "fit",
            "GITHUB_TOKEN": "hunter2",
        },
        ("17", "train", "https://github.com/acme/chat/actions/runs/17/attempts/2", "fit"),
    ),
    "gitlab-ci": (
        {
            "GITLAB_CI": "true", "CI_PIPELINE_ID": "5", "CI_PROJECT_PATH": "acme/chat", "CI_JOB_NAME": "fit",
            "CI_PIPELINE_URL": "https://gitlab.example.org/acme/chat/-/pipelines/5", "CI_JOB_TOKEN": "hunter2",
        },
        ("5", "acme/chat", "https://gitlab.example.org/acme/chat/-/pipelines/5", "fit"),
    ),
    "jenkins": (
        {
            "JENKINS_URL": "https://ci/", "BUILD_TAG": "jenkins-chat-9", "BUILD_NUMBER": "9", "JOB_NAME": "chat",
            "BUILD_URL": "https://user:hunter2@ci/job/chat/9/",
        },
        ("jenkins-chat-9", "chat", "https://ci/job/chat/9/", None),
    ),
    "airflow": (
        {"AIRFLOW_CTX_DAG_ID": "train", "AIRFLOW_CTX_DAG_RUN_ID": "manual__2026", "AIRFLOW_CTX_TASK_ID": "fit"},
        ("manual__2026", "train", None, "fit"),
    ),
    "kubeflow": (
        {"KFP_RUN_ID": "0b0c", "WORKFLOW_ID": "train-x", "KFP_POD_NAME": "train-x-1"},
        ("0b0c", "train-x", None, "train-x-1"),
    ),
    "buildkite": (
        {"BUILDKITE": "1", "BUILDKITE_BUILD_ID": "b1", "BUILDKITE_PIPELINE_SLUG": "chat", "BUILDKITE_BUILD_URL": "u"},
        ("b1", "chat", "u", None),
    ),
    "circleci": (
        {"CIRCLECI": "true", "CIRCLE_WORKFLOW_ID": "w", "CIRCLE_BUILD_URL": "u", "CIRCLE_JOB": "fit"},
        ("w", None, "u", "fit"),
    ),
    "azure-pipelines": (
        {
            "TF_BUILD": "True", "BUILD_BUILDID": "3", "BUILD_DEFINITIONNAME": "chat", "SYSTEM_TEAMPROJECT": "acme",
            "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://dev.azure.com/x/",
        },
        ("3", "chat", "https://dev.azure.com/x/acme/_build/results?buildId=3", None),
    ),
    "sagemaker": (
        {"TRAINING_JOB_NAME": "chat-1", "TRAINING_JOB_ARN": "arn:aws:sagemaker:x"},
        ("chat-1", None, "arn:aws:sagemaker:x", None),
    ),
    "slurm": (
        {"SLURM_JOB_ID": "44", "SLURM_JOB_NAME": "train", "SLURM_CLUSTER_NAME": "hpc"},
        ("44", "train", "slurm://hpc/44", None),
    ),
}  # fmt: skip


@pytest.mark.parametrize("system", RUNS)
def test_the_run_is_known_by_what_its_system_documents(system: str, registry: Registry, tmp_path: Path) -> None:
    variables, (run, name, uri, job) = RUNS[system]
    captured = capture_run(variables)
    assert captured is not None
    expected = {"name": name, "run": run, "uri": uri, "system": system, "job": job}
    with pytest.MonkeyPatch.context() as patch:
        for each, value in variables.items():
            patch.setenv(each, value)
        manifest = publish(registry, tmp_path)
    assert manifest.lineage.run == run
    assert manifest.lineage.pipeline == {each: value for each, value in expected.items() if value is not None}
    assert b"hunter2" not in encode_manifest(manifest)


def test_a_variable_that_is_empty_or_false_is_no_run() -> None:
    assert capture_run({}) is None
    assert capture_run({"GITHUB_ACTIONS": "false", "GITHUB_RUN_ID": "1"}) is None
    assert capture_run({"GITHUB_ACTIONS": "true"}) is None
    assert len({system.mark for system in SYSTEMS}) == len(SYSTEMS)


def test_what_is_stated_wins(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in RUNS["airflow"][0].items():
        monkeypatch.setenv(name, value)
    stated = Lineage(run="mine", pipeline={"name": "nightly"})
    manifest = publish(registry, tmp_path, lineage=stated)
    assert (manifest.lineage.run, manifest.lineage.pipeline) == ("mine", {"name": "nightly"})
    assert publish(registry, tmp_path, lineage=Lineage(run="mine")).lineage.run == "mine"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    for system in SYSTEMS:
        monkeypatch.delenv(system.mark, raising=False)
    make_registry(tmp_path / "registry")
    with open_registry(str(tmp_path / "registry"), identity="ada@example.org") as opened:
        yield opened


def publish(registry: Registry, tmp_path: Path, **options: Any) -> Manifest:
    (tmp_path / "file").write_bytes(b"x")
    done = registry.publish("acme/chat", [tmp_path / "file"], **options)
    return registry.resolve(f"acme/chat:{done.version}").manifest


def test_a_captured_environment_is_not_what_it_was_trained_in(registry: Registry, tmp_path: Path) -> None:
    training = publish(registry, tmp_path).training
    assert training.environment == {}
    assert training.published_from["python"]
    text = recipe(registry.resolve("acme/chat:1"))
    assert "pip install" not in text
    assert "# environment of the training: not recorded" in text
    assert "# published from " in text
    assert "#   bucketry==" in text


def test_a_stated_environment_is_what_the_recipe_installs(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("torch==2.9.0\nnumpy>=2\n")
    publish(registry, tmp_path, environment=tmp_path / "requirements.txt")
    text = recipe(registry.resolve("acme/chat:1"))
    assert "python -m pip install \\\n  torch==2.9.0\n" in text
    assert "# a package of another form: numpy>=2" in text
    publish(registry, tmp_path, environment={"python": "3.12", "packages": {"jax": "0.6"}})
    assert "# python: 3.12\npython -m pip install \\\n  jax==0.6\n" in recipe(registry.resolve("acme/chat:2"))


def test_a_command_of_ours_is_never_the_training_s(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("/usr/bin/bucketry", "C:\\Scripts\\bucketry.exe", "/x/bucketry/__main__.py"):
        monkeypatch.setattr(sys, "argv", [program, "publish", "acme/chat", "out"])
        assert publish(registry, tmp_path).training.command is None
    for argv in ([""], ["-c"], ["/x/ipykernel_launcher.py", "-f", "/x.json"], []):
        monkeypatch.setattr(sys, "argv", argv)
        assert publish(registry, tmp_path).training.command is None
    monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "1"])
    assert publish(registry, tmp_path).training.command == "train.py --lr 1"
    assert publish(registry, tmp_path, training=Training(command="make all")).training.command == "make all"


def test_unknown_changes_are_told_where_the_version_is_made_again(registry: Registry, tmp_path: Path) -> None:
    manifest = publish(registry, tmp_path, lineage=Lineage(code={"commit": "a" * 40, "dirty": None}))
    assert decode_manifest(encode_manifest(manifest), what="m").lineage.code["dirty"] is None
    assert "not committed is not known" in recipe(registry.resolve("acme/chat:1"))


PINS = {"numpy": "2.1.0", "torch": "2.9.0+cu128"}
CONDA = """
name: train
dependencies:
  - python=3.12.1=h1
  - numpy=2.1.0=py312
  - pip:
    - torch==2.9.0+cu128
"""
LOCK = """
requires-python = ">=3.12"
[[package]]
name = "numpy"
version = "2.1.0"
[[package]]
name = "torch"
version = "2.9.0+cu128"
"""


REQUIREMENTS = [
    "numpy", "numpy>=2", "numpy ~= 2.1, < 3", "torch[all] ; python_version > '3'", "a @ https://host/a-1.whl",
    "-r more.txt", "--extra-index-url https://host/simple", "-e .", "./wheels/a-1-py3-none-any.whl", "git+ssh://host/x.git",
    "../mine", "conda-forge::numpy 1.26.*", "numpy 1.26 py312_0", "numpy (>=2)", "a-1.0.tar.gz", "file:///x/y",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numpy==2.1.0\ntorch==2.9.0+cu128\n", {"packages": PINS}),
        ("\ufeff# freeze\nnumpy == 2.1.0 ; python_version>'3' # why\ntorch[all]==2.9.0+cu128 \\\n --hash=sha256:00\n",
         {"packages": PINS}),
        ("numpy==2.1.0\n-e git+https://u:hunter2@host/x#egg=y\n",
         {"packages": {"numpy": "2.1.0"}, "requirements": ["-e git+https://host/x#egg=y"]}),
        (json.dumps([{"name": "numpy", "version": "2.1.0"}, {"name": "torch", "version": "2.9.0+cu128"}]),
         {"packages": PINS}),
        (json.dumps({"python": "3.12", "packages": PINS, "container": "acme/train:1", "other": 1}),
         {"python": "3.12", "packages": PINS, "container": "acme/train:1"}),
        (json.dumps(PINS), {"packages": PINS}),
        (CONDA, {"packages": PINS, "python": "3.12.1"}),
        (LOCK, {"packages": PINS, "python": ">=3.12"}),
        *((f"{line}\n", {"requirements": [line]}) for line in REQUIREMENTS),
    ],
)  # fmt: skip
def test_what_tools_write_of_an_environment_is_read(text: str, expected: dict[str, object]) -> None:
    assert read_environment(text.encode(), what="e") == expected


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "names no package"),
        (b"# nothing\n", "names no package"),
        (b"{}", "names no package"),
        (b"\xff\xfe\x00", "is not text"),
        (b"x" * 5_000_000, "is too large"),
        (b"import numpy as np\nprint(1)\n", 'no list of packages: "import numpy as np"'),
        (b"auc: 0.9\n", "auc: 0.9"),
        (b"Package Version\n------- -------\nnumpy   2.1.0\n", "Package Version"),
        (b"numpy==2\nThe model was trained in June.\n", "The model was trained"),
        (b'{"model_type": "bert", "transformers_version": "4.5.1"}', "names no package"),
        (b'{"layers": 12, "version": "4.5.1"}', "names no package"),
        (b'{"packages": 3}', "is not a table"),
        ("".join(f"p{n}==1\n" for n in range(2_001)).encode(), "more than 2,000 packages"),
    ],
)
def test_a_file_that_says_no_environment_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_environment(body, what="e")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"environment": 3}, "environment is 3, not a path"),
        ({"environment": "missing.txt"}, "there is no file missing.txt"),
        ({"environment": "."}, "is a folder"),
        ({"environment": {"packages": {"a": object()}}}, "environment: packages: a"),
        ({"environment": {"packages": 3}}, "packages is not a table"),
        ({"include": 3}, "include is 3"),
        ({"exclude": [b"x"]}, r"exclude\[0\]"),
        ({"exclude": ["a\nb"]}, r"exclude\[0\] has"),
    ],
)
def test_an_argument_of_another_kind_is_named(
    registry: Registry, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises((UsageError, NotFoundError), match=words):
        registry.publish("acme/chat", [tmp_path / "file"], **options)
    assert registry.models() == []


TOKEN = "hf_" + "a1B2" * 9


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"parameters": {"lr": 1, "hub": {"tokens": ["x", TOKEN]}}}, r"training: hyperparameters: hub: tokens\[1\]"),
        ({"labels": {"hub": TOKEN}}, "labels: hub"),
        ({"notes": f"made with {TOKEN}."}, "notes"),
        ({"training": Training(command=f"train.py --hub={TOKEN}")}, "training: command"),
        ({"datasets": [{"name": "d", "uri": f"https://host/?token={TOKEN}"}]}, r"training: datasets\[0\]: uri"),
        ({"environment": {"HF_TOKEN": TOKEN}}, "training: environment: HF_TOKEN"),
        ({"lineage": Lineage(pipeline={"name": TOKEN})}, "lineage: pipeline: name"),
    ],
)
def test_a_token_in_what_is_stated_is_refused_by_its_place(
    registry: Registry, tmp_path: Path, options: dict[str, Any], place: str
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(UsageError, match=f"^{place} looks like it holds a token of Hugging Face") as raised:
        registry.publish("acme/chat", [tmp_path / "file"], **options)
    assert TOKEN not in str(raised.value)
    assert registry.models() == []


def test_a_token_in_front_of_a_host_is_not_recorded(registry: Registry, tmp_path: Path) -> None:
    given = [{"name": "d", "uri": f"https://{TOKEN}@host/d"}]
    assert publish(registry, tmp_path, datasets=given).training.datasets[0]["uri"] == "https://host/d"


def test_one_pattern_alone_is_a_list_of_one(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("a", "b"):
        (tmp_path / "out" / name).write_bytes(b"x")
    assert registry.publish("acme/chat", [tmp_path / "out"], exclude="b").files_left_out == ("b",)


def test_a_stated_environment_is_checked() -> None:
    assert check_environment({"packages": ["a==1", "b"], "container": "https://u:p@h/x"}, what="e") == {
        "packages": {"a": "1"},
        "requirements": ["b"],
        "container": "https://h/x",
    }
    assert check_environment({"torch": "2.9.0"}, what="e") == {"packages": {"torch": "2.9.0"}}
    assert check_environment({"image": "nightly"}, what="e") == {"image": "nightly"}


def test_the_very_files_of_an_older_version_are_named(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"y")
    assert registry.publish("acme/chat", [tmp_path / "config.toml", tmp_path / "other"]).same_files_as is None
    (tmp_path / "file").write_bytes(b"x")
    assert registry.publish("acme/chat", [tmp_path / "file"]).same_files_as is None
    assert registry.publish("acme/chat", [tmp_path / "other"]).same_files_as is None
    assert registry.publish("acme/chat", [tmp_path / "file"]).same_files_as == 2
    assert registry.publish("acme/chat", [tmp_path / "file"]).same_files_as == 4


def test_a_publish_says_what_it_left_out(registry: Registry, tmp_path: Path) -> None:
    source = tmp_path / "out"
    (source / ".git").mkdir(parents=True)
    (source / ".git" / "config").write_bytes(b"x")
    (source / "model.bin").write_bytes(b"x")
    (source / "skip.bin").write_bytes(b"x")
    done = registry.publish("acme/chat", [source], exclude=["skip.*"])
    assert done.files_left_out == (".git/", "skip.bin")
    done = registry.publish("acme/chat", [source], include=[".git/"])
    assert {one.path for one in registry.resolve("acme/chat:2").manifest.artifacts} == {
        ".git/config", "model.bin", "skip.bin",
    }  # fmt: skip
