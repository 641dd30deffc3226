"""Writes what one must do to make a version again: everything that was recorded, as a recipe."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.schema.codec import Document

NOT_RECORDED = "not recorded"

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_REPOSITORY = re.compile(r"(https?|ssh|git)://[!-~]+|[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[!-~]+|/[!-~]+")
_PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+!_-]*")


def recipe_document(resolved: ResolvedVersion) -> Document:
    """Return what was recorded of how the version was made, as one document."""
    manifest = resolved.manifest
    return {
        "model": str(resolved.model),
        "version": resolved.version,
        "manifest": resolved.digest,
        "code": dict(manifest.lineage.code),
        "pipeline": dict(manifest.lineage.pipeline),
        "experiment": manifest.lineage.experiment,
        "run": manifest.lineage.run,
        "parents": [parent.to_document() for parent in manifest.lineage.parents],
        "training": manifest.training.to_document(),
    }


def recipe(resolved: ResolvedVersion) -> str:
    """Return the recipe as text to read and to run by hand: nothing in it is executed here.

    Foreign text is made displayable and quoted for a shell; what was not recorded is said.
    """
    training, lineage = resolved.manifest.training, resolved.manifest.lineage
    name = f"{resolved.model}:{resolved.version}"
    steps = [f"# how {name} (manifest {resolved.digest}) was made", *_code_steps(lineage.code)]
    steps += [
        f"bucketry pull {parent.model}@sha256:{parent.manifest} base-{index}   # {displayable(parent.relation)} of it"
        for index, parent in enumerate(lineage.parents, start=1)
    ]
    steps += _environment_steps(training.environment)
    steps += _published_from(training.published_from)
    for dataset in training.datasets:
        described = ", ".join(f"{key}={value}" for key, value in dataset.items())
        steps.append(f"# dataset: {displayable(described)}")
    for label, value in (
        ("seed", training.seed),
        ("hardware", training.hardware),
        ("framework", training.framework),
    ):
        steps.append(f"# {label}: {displayable(str(value)) if value is not None else NOT_RECORDED}")
    steps += [
        f"# hyperparameter {displayable(str(key))} = {displayable(str(value))}"
        for key, value in training.hyperparameters.items()
    ]
    steps.append(f"# command: {displayable(training.command) if training.command else NOT_RECORDED}")
    return "\n".join(steps) + "\n"


def _environment_steps(environment: Mapping[str, object]) -> list[str]:
    """Return the steps to the environment that somebody said it was trained in."""
    packages, requirements = environment.get("packages"), environment.get("requirements")
    pins = {f"{name}=={version}" for name, version in packages.items()} if isinstance(packages, dict) else set()
    plain = sorted(pin for pin in pins if _PIN.fullmatch(pin))
    steps = [
        f"# {displayable(str(key))}: {displayable(str(value))}"
        for key, value in environment.items()
        if key not in {"packages", "requirements"}
    ]
    if plain:
        steps.append("python -m pip install \\\n  " + " \\\n  ".join(plain))
    others = [*sorted(pins - set(plain)), *(requirements if isinstance(requirements, list) else ())]
    steps += [f"# a package of another form: {displayable(str(other))}" for other in others]
    return steps or [f"# environment of the training: {NOT_RECORDED}"]


def _published_from(environment: Mapping[str, object]) -> list[str]:
    """Return what the publishing process ran in, as a remark: it need not be what trained."""
    if not environment:
        return []
    known = ", ".join(f"{name} {value}" for name, value in environment.items() if name != "packages")
    packages = environment.get("packages")
    pins = [f"{name}=={version}" for name, version in packages.items()] if isinstance(packages, dict) else []
    return [
        f"# published from {displayable(known)}, which need not be what it was trained in:",
        *(f"#   {displayable(pin)}" for pin in pins),
    ]


def _code_steps(code: Mapping[str, object]) -> list[str]:
    """Return the steps to the code. What is not plainly a URL or a commit stays a comment: it could be an option."""
    commit, repository = str(code.get("commit") or ""), str(code.get("repository") or "")
    if not commit:
        return [f"# code: {NOT_RECORDED}"]
    steps = []
    if _REPOSITORY.fullmatch(repository):
        steps.append(f"git clone -- {shlex.quote(repository)} code && cd code")
    elif repository:
        steps.append(f"# repository: {displayable(repository)}")
    steps.append(f"git checkout {commit}" if _COMMIT.fullmatch(commit) else f"# commit: {displayable(commit)}")
    if "dirty" in code and code["dirty"] is None:
        steps.append("# whether the work tree had changes that were not committed is not known")
    if code.get("dirty"):
        steps.append("# the work tree had changes that were not committed: they are not recorded")
    return steps
