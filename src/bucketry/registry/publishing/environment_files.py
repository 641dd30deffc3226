"""Reads in which environment a version was trained from a file that says so: what pip, conda, uv or Poetry write."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from bucketry.errors import DeniedError, NotFoundError, UsageError
from bucketry.registry.publishing.capture import MOST_PACKAGES, without_credentials
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LARGEST_FILE_BYTES = 4 * 1024 * 1024
LONGEST_LINE_CHARACTERS = 512
ADVICE = "give what `pip freeze`, `pip list --format=json`, `conda env export` or a lock file says"
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*={2,3}\s*([A-Za-z0-9][A-Za-z0-9.+!_-]*)")
_REQUIREMENT = re.compile(
    r"""-\S.*|@EXPLICIT                                     # an option: -e ., --extra-index-url ...
    |[^\s:]+:/\S*(?:\s.*)?|\.{0,2}/\S*|\S+\.(?:whl|zip|tar\.gz)  # an address or a path
    |(?:\S+::)?[A-Za-z0-9_][A-Za-z0-9._-]*                # a name, and what is asked of it
     \s*(?:\[[^\]]*\])?\s*(?:$|[;@<>=!~,(*0-9].*)
    """,
    re.VERBOSE,
)
_VERSION = re.compile(r"[vV]?[0-9][A-Za-z0-9.+!_*-]*")
_PARTS = ("python", "platform", "container", "packages", "requirements")
_CONDA = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._-]*)=([^=]+)(=.*)?")


def read_environment(body: bytes, *, what: str) -> dict[str, object]:
    """Return `{python, platform, container, packages, requirements}` as far as a file says; raise `UsageError`.

    `packages` have one version each; whatever else is asked for is kept as it stands, in `requirements`.
    """
    if len(body) > LARGEST_FILE_BYTES:
        raise UsageError(f"{what} is too large for an environment", advice=ADVICE)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{what} is not text", advice=ADVICE) from None
    environment = _of_json(text, what) or _of_toml(text) or _of_conda(text, what) or _of_lines(text, what)
    if not environment.get("packages") and not environment.get("requirements") and "container" not in environment:
        raise UsageError(f"{what} names no package", advice=ADVICE)
    return environment


def load_environment(path: Path) -> dict[str, object]:
    """Return what a file says; raise `NotFoundError` where there is none."""
    try:
        with path.open("rb") as file:
            body = file.read(LARGEST_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {displayable(str(path))}") from error
    except PermissionError as error:
        raise DeniedError(f"{displayable(str(path))} may not be read") from error
    except IsADirectoryError as error:
        raise UsageError(f"{displayable(str(path))} is a folder", advice=ADVICE) from error
    return read_environment(body, what=displayable(str(path)))


def check_environment(environment: Mapping[str, object], *, what: str) -> dict[str, object]:
    """Return an environment that a program states as a table, with no user and password in its texts."""
    if environment and not any(part in environment for part in _PARTS) and _are_versions(environment):
        return {"packages": _versions(environment, what)}
    checked: dict[str, object] = {}
    for name, value in environment.items():
        if name == "packages" and isinstance(value, list | tuple):
            checked |= _listed(value, what)
        elif name == "packages":
            checked[name] = _versions(value, what)
        elif isinstance(value, str):
            checked[name] = without_credentials(value)
        else:
            checked[name] = value
    return checked


def _versions(packages: object, what: str) -> dict[str, object]:
    if not hasattr(packages, "items"):
        raise UsageError(f"{what}: packages is not a table of names and versions", advice=ADVICE)
    pairs = sorted((str(name), without_credentials(str(version))) for name, version in packages.items())
    if len(pairs) > MOST_PACKAGES:
        raise UsageError(f"{what} has more than {MOST_PACKAGES:,} packages", advice="name those that training needs")
    return dict(pairs)


def _of_json(text: str, what: str) -> dict[str, object]:
    if text.lstrip()[:1] not in {"{", "["}:
        return {}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if isinstance(document, list):
        return _listed(document, what)
    if "packages" in document or "container" in document:
        return check_environment({name: document[name] for name in _PARTS if name in document}, what=what)
    return {"packages": _versions(document, what)} if _are_versions(document) else {"packages": {}}


def _are_versions(table: Mapping[str, object]) -> bool:
    """Return whether a table, of which nothing says what it is, can be one of packages and their versions."""
    return all(isinstance(one, str) and _VERSION.fullmatch(one) for one in table.values())


def _listed(items: Sequence[object], what: str) -> dict[str, object]:
    """Return packages as pip lists them: tables with name and version, or lines."""
    tables = [item for item in items if isinstance(item, dict)]
    pins = {str(one["name"]): str(one["version"]) for one in tables if "name" in one and "version" in one}
    lines = _of_lines("\n".join(item for item in items if isinstance(item, str)), what)
    named = lines.get("packages", {})
    packages = _versions({**pins, **(named if isinstance(named, dict) else {})}, what)
    return {"packages": packages} | {name: one for name, one in lines.items() if name != "packages"}


def _of_toml(text: str) -> dict[str, object]:
    """Return the packages of a lock file of uv, Poetry, PDM or the standard's."""
    if not re.search(r"(?m)^\[\[packages?\]\]", text):
        return {}
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
    tables = document.get("package", document.get("packages", []))
    python = document.get("requires-python")
    found = _listed([table for table in tables if isinstance(table, dict)], "the lock file")
    return found | ({"python": str(python)} if python else {})


def _of_conda(text: str, what: str) -> dict[str, object]:
    if not re.search(r"(?m)^dependencies\s*:", text):
        return {}
    import yaml  # noqa: PLC0415 - few environments are conda's

    try:
        document: Any = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    lines: list[str] = []
    python = ""
    for item in document.get("dependencies") or () if isinstance(document, dict) else ():
        if isinstance(item, dict):
            lines += [line for line in item.get("pip") or () if isinstance(line, str)]
        elif isinstance(item, str):
            matched = _CONDA.fullmatch(item.strip())
            if matched and matched[1] == "python":
                python = matched[2]
                continue
            lines.append(f"{matched[1]}=={matched[2]}" if matched else item)
    found = _of_lines("\n".join(lines), what)
    return found | ({"python": python} if python else {})


def _of_lines(text: str, what: str) -> dict[str, object]:
    """Return what lines ask for, as in `requirements.txt`; comments, hashes and markers are left out."""
    packages: dict[str, str] = {}
    others: list[str] = []
    for whole in re.sub(r"\\\n", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*", "", whole)
        line = re.sub(r"\s--hash[= ]\S+", "", line).strip()
        if not line:
            continue
        matched = _PIN.fullmatch(line.partition(";")[0].strip())
        if matched:
            packages[matched[1]] = matched[2]
        elif not _REQUIREMENT.fullmatch(line):
            raise UsageError(f'{what} is no list of packages: "{displayable(line)[:60]}" asks for none', advice=ADVICE)
        else:
            others.append(without_credentials(displayable(line))[:LONGEST_LINE_CHARACTERS])
    if len(packages) + len(others) > MOST_PACKAGES:
        raise UsageError(f"there are more than {MOST_PACKAGES:,} packages", advice="name those that training needs")
    found: dict[str, object] = {"packages": dict(sorted(packages.items()))} if packages else {}
    return found | ({"requirements": others} if others else {})
