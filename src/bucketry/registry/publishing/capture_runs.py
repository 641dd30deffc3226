"""Reads which run of which pipeline we are in, by the variables that each system documents for its jobs.

Only what is named here is read: identities and addresses, none of the secrets that such environments hold.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_VALUE_CHARACTERS = 512
_SLOT = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")


@frozen
class _System:
    """One system: it is there if `mark` is set (to `value`, if given); texts have `{NAME}` for variables.

    Of several texts the first counts whose variables are all set.
    """

    name: str
    mark: str
    run: tuple[str, ...]
    pipeline: tuple[str, ...] = ()
    uri: tuple[str, ...] = ()
    job: tuple[str, ...] = ()
    value: str = ""


SYSTEMS = (
    _System(
        "github-actions",
        "GITHUB_ACTIONS",
        run=("{GITHUB_RUN_ID}",),
        pipeline=("{GITHUB_WORKFLOW}",),
        uri=(
            "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}/attempts/{GITHUB_RUN_ATTEMPT}",
            "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",
        ),
        job=("{GITHUB_JOB}",),
        value="true",
    ),
    _System(
        "gitlab-ci",
        "GITLAB_CI",
        run=("{CI_PIPELINE_ID}", "{CI_JOB_ID}"),
        pipeline=("{CI_PIPELINE_NAME}", "{CI_PROJECT_PATH}"),
        uri=("{CI_PIPELINE_URL}", "{CI_JOB_URL}"),
        job=("{CI_JOB_NAME}",),
    ),
    _System(
        "jenkins",
        "JENKINS_URL",
        run=("{BUILD_TAG}", "{BUILD_NUMBER}"),
        pipeline=("{JOB_NAME}",),
        uri=("{BUILD_URL}",),
        job=("{STAGE_NAME}",),
    ),
    _System(
        "buildkite",
        "BUILDKITE",
        run=("{BUILDKITE_BUILD_ID}",),
        pipeline=("{BUILDKITE_PIPELINE_SLUG}",),
        uri=("{BUILDKITE_BUILD_URL}",),
        job=("{BUILDKITE_LABEL}",),
    ),
    _System(
        "circleci",
        "CIRCLECI",
        run=("{CIRCLE_WORKFLOW_ID}", "{CIRCLE_BUILD_NUM}"),
        pipeline=("{CIRCLE_PROJECT_USERNAME}/{CIRCLE_PROJECT_REPONAME}",),
        uri=("{CIRCLE_BUILD_URL}",),
        job=("{CIRCLE_JOB}",),
    ),
    _System(
        "azure-pipelines",
        "TF_BUILD",
        run=("{BUILD_BUILDID}",),
        pipeline=("{BUILD_DEFINITIONNAME}",),
        uri=("{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}",),
        job=("{SYSTEM_JOBDISPLAYNAME}", "{AGENT_JOBNAME}"),
    ),
    _System(
        "bitbucket-pipelines",
        "BITBUCKET_BUILD_NUMBER",
        run=("{BITBUCKET_PIPELINE_UUID}", "{BITBUCKET_BUILD_NUMBER}"),
        pipeline=("{BITBUCKET_REPO_FULL_NAME}",),
        uri=("https://bitbucket.org/{BITBUCKET_REPO_FULL_NAME}/pipelines/results/{BITBUCKET_BUILD_NUMBER}",),
    ),
    _System(
        "travis",
        "TRAVIS",
        run=("{TRAVIS_BUILD_ID}",),
        pipeline=("{TRAVIS_REPO_SLUG}",),
        uri=("{TRAVIS_BUILD_WEB_URL}",),
        job=("{TRAVIS_JOB_NAME}",),
    ),
    _System(
        "teamcity",
        "TEAMCITY_VERSION",
        run=("{BUILD_NUMBER}",),
        pipeline=("{TEAMCITY_PROJECT_NAME}/{TEAMCITY_BUILDCONF_NAME}", "{TEAMCITY_BUILDCONF_NAME}"),
        uri=("{BUILD_URL}",),
    ),
    _System(
        "codebuild",
        "CODEBUILD_BUILD_ID",
        run=("{CODEBUILD_BUILD_ID}",),
        pipeline=("{CODEBUILD_INITIATOR}",),
        uri=("{CODEBUILD_PUBLIC_BUILD_URL}", "{CODEBUILD_BUILD_ARN}"),
    ),
    _System(
        "airflow",
        "AIRFLOW_CTX_DAG_ID",
        run=("{AIRFLOW_CTX_DAG_RUN_ID}",),
        pipeline=("{AIRFLOW_CTX_DAG_ID}",),
        job=("{AIRFLOW_CTX_TASK_ID}",),
    ),
    _System(
        "kubeflow",
        "KFP_RUN_ID",
        run=("{KFP_RUN_ID}",),
        pipeline=("{WORKFLOW_ID}", "{KFP_RUN_NAME}"),
        job=("{KFP_POD_NAME}",),
    ),
    _System("kubeflow", "KFP_POD_NAME", run=("{WORKFLOW_ID}", "{KFP_POD_NAME}"), job=("{KFP_POD_NAME}",)),
    _System(
        "metaflow",
        "METAFLOW_RUN_ID",
        run=("{METAFLOW_RUN_ID}",),
        pipeline=("{METAFLOW_FLOW_NAME}",),
        job=("{METAFLOW_STEP_NAME}",),
    ),
    _System("prefect", "PREFECT__FLOW_RUN_ID", run=("{PREFECT__FLOW_RUN_ID}",)),
    _System("azure-ml", "AZUREML_RUN_ID", run=("{AZUREML_RUN_ID}",), pipeline=("{AZUREML_EXPERIMENT_NAME}",)),
    _System(
        "sagemaker",
        "TRAINING_JOB_NAME",
        run=("{TRAINING_JOB_NAME}",),
        uri=("{TRAINING_JOB_ARN}",),
    ),
    _System("vertex-ai", "CLOUD_ML_JOB_ID", run=("{CLOUD_ML_JOB_ID}",), pipeline=("{CLOUD_ML_PROJECT_ID}",)),
    _System(
        "slurm",
        "SLURM_JOB_ID",
        run=("{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}", "{SLURM_JOB_ID}"),
        pipeline=("{SLURM_JOB_NAME}",),
        uri=("slurm://{SLURM_CLUSTER_NAME}/{SLURM_JOB_ID}",),
    ),
    _System("pbs", "PBS_JOBID", run=("{PBS_JOBID}",), pipeline=("{PBS_JOBNAME}",)),
    _System("lsf", "LSB_JOBID", run=("{LSB_JOBID}",), pipeline=("{LSB_JOBNAME}",)),
)
"""In the order in which they count: a job that a CI submits to a cluster is a run of the CI's."""


@frozen
class CapturedRun:
    """The run that we are in, and its pipeline as a manifest has it: name, run, uri, system, job."""

    run: str
    pipeline: dict[str, object]


def capture_run(environment: Mapping[str, str] | None = None) -> CapturedRun | None:
    """Return the run that the environment tells of; None where it tells of none."""
    variables = os.environ if environment is None else environment
    for system in SYSTEMS:
        mark = variables.get(system.mark)
        if not mark or (system.value and mark.lower() != system.value):
            continue
        run = _first(system.run, variables)
        if not run:
            continue
        told = {
            "name": _first(system.pipeline, variables),
            "run": run,
            "uri": _first(system.uri, variables),
            "system": system.name,
            "job": _first(system.job, variables),
        }
        return CapturedRun(run, {name: value for name, value in told.items() if value})
    return None


def _first(texts: tuple[str, ...], variables: Mapping[str, str]) -> str:
    """Return the first text whose variables are all set, filled in."""
    for text in texts:
        if all(variables.get(name) for name in _SLOT.findall(text)):
            filled = _SLOT.sub(lambda slot: variables[slot[1]], text)
            return filled[:LONGEST_VALUE_CHARACTERS].encode(errors="backslashreplace").decode()
    return ""
