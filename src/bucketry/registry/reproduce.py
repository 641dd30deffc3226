"""What must one do to make a version again? Everything that was recorded, as a recipe."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.registry.resolve import ResolvedVersion
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
    environment = dict(training.environment)
    packages = environment.pop("packages", None)
    steps += [f"# {displayable(str(key))}: {displayable(str(value))}" for key, value in environment.items()]
    steps += _package_steps(packages if isinstance(packages, dict) else {})
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


def _package_steps(packages: Mapping[str, object]) -> list[str]:
    pins = {f"{name}=={version}" for name, version in packages.items()}
    plain = sorted(pin for pin in pins if _PIN.fullmatch(pin))
    steps = ["python -m pip install \\\n  " + " \\\n  ".join(plain)] if plain else [f"# packages: {NOT_RECORDED}"]
    return steps + [f"# a package of another form: {displayable(pin)}" for pin in sorted(pins - set(plain))]


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
    if code.get("dirty"):
        steps.append("# the work tree had changes that were not committed: they are not recorded")
    return steps
