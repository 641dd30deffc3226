"""What must one do to make a version again? Everything that was recorded, as a recipe."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from bucketry.registry.resolve import ResolvedVersion
    from bucketry.schema.codec import Document

NOT_RECORDED = "not recorded"


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
    if isinstance(packages, dict):
        pins = [shlex.quote(displayable(f"{package}=={version}")) for package, version in packages.items()]
        steps.append("python -m pip install \\\n  " + " \\\n  ".join(pins) if pins else "# no packages recorded")
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
    steps.append(displayable(training.command) if training.command else f"# command: {NOT_RECORDED}")
    return "\n".join(steps) + "\n"


def _code_steps(code: object) -> list[str]:
    recorded = code if isinstance(code, dict) else {}
    commit, repository = recorded.get("commit"), recorded.get("repository")
    if not commit:
        return [f"# code: {NOT_RECORDED}"]
    steps = [f"git clone {shlex.quote(displayable(str(repository)))} code && cd code"] if repository else []
    steps.append(f"git checkout {shlex.quote(displayable(str(commit)))}")
    if recorded.get("dirty"):
        steps.append("# the work tree had changes that were not committed: they are not recorded")
    return steps
