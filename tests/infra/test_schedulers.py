"""Do the files for Kubernetes, Slurm and AWS Batch call commands that there are, as they are meant to be run?"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml

from bucketry.cli.call import Call
from bucketry.cli.program import COMMANDS, build
from infra.role_documents import INFRA

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSED = [2, 4, 7, 9]
"""The exit codes after which trying again changes nothing: usage, a rule, denied, unsupported."""
WORK = "fsck-20261130t120000z-0123abcd"
JOBS = ("cronjobs.yaml", "indexed-job.yaml")


def load(path: str) -> list[Any]:
    return list(yaml.safe_load_all((INFRA / path).read_text("utf-8")))


def jobs() -> Iterator[tuple[str, Any]]:
    for path in JOBS:
        for document in load(f"kubernetes/{path}"):
            if document["kind"] in {"CronJob", "Job"}:
                spec = document["spec"]
                yield (
                    document["metadata"].get("name", path),
                    spec["jobTemplate"]["spec"] if "schedule" in spec else spec,
                )


def parse(words: list[str]) -> None:
    """Parse a command line as the program would, without running it."""
    assert words[0] == "bucketry"
    if words[1] not in COMMANDS:
        pytest.skip(f"there is no command {words[1]!r} yet")
    context = click.Context(build(), obj=Call())
    command, rest = context.command.resolve_command(context, words[1:])[1:]  # type: ignore[attr-defined]
    while isinstance(command, click.Group):
        command, rest = command.resolve_command(context, rest)[1:]
    command.make_context(command.name, rest, parent=context)


@pytest.mark.parametrize(("name", "job"), list(jobs()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_job_runs_a_command_that_the_program_takes(name: str, job: Any) -> None:
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    given = {
        "$(BUCKETRY_REGISTRY)": "s3://models/prod",
        "$(BUCKETRY_REPLICA)": "s3://models-replica/prod",
        "WORK_ID_HERE": WORK,
    }
    assert name
    assert pod["restartPolicy"] == "Never"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]
    parse([given.get(word, word) for word in container["args"]])


@pytest.mark.parametrize(("name", "job"), list(jobs()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_job_that_is_refused_is_not_tried_again(name: str, job: Any) -> None:
    if job.get("backoffLimit") == 0:
        return
    rule = job["podFailurePolicy"]["rules"][0]
    assert rule["onExitCodes"] == {"operator": "In", "values": REFUSED}, name
    assert rule["action"] == ("FailIndex" if job.get("completionMode") == "Indexed" else "FailJob")


def test_every_account_of_a_job_is_there_and_named_after_its_role() -> None:
    documents = load("kubernetes/cronjobs.yaml")
    accounts = {each["metadata"]["name"]: each for each in documents if each["kind"] == "ServiceAccount"}
    used = {job["template"]["spec"]["serviceAccountName"] for _, job in jobs()}
    assert used == set(accounts)
    for name, account in accounts.items():
        assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].endswith(f":role/{name}")


def test_a_shard_of_slurm_and_of_batch_is_the_same_command() -> None:
    script = INFRA / "slurm" / "work.sbatch"
    shell = shutil.which("sh")
    assert shell is not None
    subprocess.run([shell, "-n", script], check=True)
    line = script.read_text("utf-8").splitlines()[-1]
    assert re.match(r'exec bucketry work run "\$\{1:\?.*\}"$', line)
    without = subprocess.run([shell, script], capture_output=True, text=True, check=False)
    assert without.returncode
    assert "the id that" in without.stderr

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!Ref", lambda _, node: {"Ref": node.value})
    template = yaml.load((INFRA / "aws" / "batch.yaml").read_text("utf-8"), Loader)
    definition = template["Resources"]["Work"]["Properties"]
    assert definition["ContainerProperties"]["Command"] == ["bucketry", "work", "run", "Ref::work"]
    codes = [int(rule["OnExitCode"]) for rule in definition["RetryStrategy"]["EvaluateOnExit"] if "OnExitCode" in rule]
    assert codes == REFUSED
    parse(["bucketry", "work", "run", WORK])
