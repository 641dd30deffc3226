"""Do the imports go one way, and is each outside thing touched in one place only?

The table of what may import what is read from `docs/architecture.md`, so that text and code cannot differ.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

ROOT = Path(__file__).parent.parent
# fmt: off
PACKAGES = (
    "schema", "store", "transfer", "trust", "registry", "index", "jobs", "show", "maintenance", "interop", "client",
    "cli", "tui",
)
IMPURE = frozenset({
    "os", "io", "sys", "socket", "time", "random", "secrets", "uuid", "threading", "subprocess",
    "tempfile", "shutil", "asyncio", "multiprocessing", "concurrent", "sqlite3", "urllib", "http", "ssl",
    "select", "signal", "pathlib",
})
# fmt: on
BESIDE = frozenset({"clock", "errors", "frozen", "user_folders", "version"})
"""What every module may import."""
VALUE = re.compile(r"[A-Z]\w*")
"""The name of a class or a constant."""
PURE_NAMES = frozenset({"pathlib.PurePath", "pathlib.PurePosixPath"})
IMPURE_CALLS = frozenset({"open", "input", "print", "now", "utcnow", "today", "time", "monotonic", "perf_counter"})
KEY = re.compile(
    r"/?(heads|aliases|manifests|blobs|pages|history|evidence|reviews|policies|deployments|serve|probe)/"
    r"|registry\.json$"
)


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the program: its path below the package (`store/s3/store.py`) and its syntax tree."""

    path: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The subpackage that it belongs to, `client` for the Python client; empty for the modules beside them."""
        return self.path.rpartition("/")[0].partition("/")[0] or ("client" if self.path == "client.py" else "")


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name, absolute; `local` if it is imported when a function runs."""

    target: str
    local: bool
    line: int

    @property
    def top(self) -> str:
        """The distribution's or the standard library's own name."""
        return self.target.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Table:
    """What each package may import at all, from where only values, and from where only inside a function."""

    allowed: dict[str, frozenset[str]]
    values: dict[str, frozenset[str]]
    lazily: dict[str, frozenset[str]]


def read_table(text: str) -> Table:
    lines = iter(text.splitlines())
    header = next(cells(line) for line in lines if line.startswith("| may import |"))
    next(lines)
    marks: dict[str, dict[str, frozenset[str]]] = {mark: {} for mark in ("x", "values", "launches it lazily")}
    for line in lines:
        if not line.startswith("|"):
            break
        name, *row = cells(line)
        marked = dict(zip(header[1:], row, strict=True))
        assert set(marked.values()) <= {"", *marks}
        for mark, rows in marks.items():
            rows[name] = frozenset(package for package, given in marked.items() if given == mark)
    return Table(*marks.values())


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


@functools.cache
def load_modules() -> list[Module]:
    source = ROOT / "src" / "bucketry"
    return [
        Module(path.relative_to(source).as_posix(), ast.parse(path.read_text("utf-8")))
        for path in sorted(source.rglob("*.py"))
    ]


def iter_imports(module: Module) -> Iterator[Import]:
    """Yield every import, also in functions, in TYPE_CHECKING blocks and by `import_module`."""
    left: list[tuple[ast.AST, bool]] = [(module.tree, False)]
    while left:
        node, local = left.pop()
        inside = local or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        left.extend((child, inside) for child in ast.iter_child_nodes(node))
        for target in imported(node, module.path):
            yield Import(target, local, getattr(node, "lineno", 0))


def imported(node: ast.AST, path: str) -> list[str]:
    match node:
        case ast.Import(names):
            return [name.name for name in names]
        case ast.ImportFrom(base, names, 0):
            return [f"{base}.{name.name}" for name in names]
        case ast.ImportFrom(base, names, int(level)):
            here = ["bucketry", *path.split("/")[:-1]]
            parents = here[: len(here) - level + 1]
            return [".".join([*parents, *([base] if base else []), name.name]) for name in names]
        case ast.Call(ast.Name("import_module" | "__import__"), [ast.Constant(str(target)), *_]) | ast.Call(
            ast.Attribute(attr="import_module"), [ast.Constant(str(target)), *_]
        ):
            return [target]
    return []


def iter_table_faults(modules: Iterable[Module], table: Table) -> Iterator[str]:
    for module in modules:
        for each in iter_imports(module):
            if each.top == "bucketry" and not may_import(module, each, table):
                yield f"{module.path}:{each.line} imports {each.target}"


def may_import(module: Module, each: Import, table: Table) -> bool:
    target = each.target.split(".")[1] if "." in each.target else ""
    if module.path in {"errors.py", "frozen.py", "version.py"}:
        return False
    if module.package == "":
        # `import bucketry` stays light: its public names, and the program itself, are resolved on first use.
        return target in BESIDE or each.local or in_type_checking(module, each)
    if target in BESIDE | {module.package} or target.startswith("__"):
        return True
    if target in table.values.get(module.package, frozenset()):
        return VALUE.fullmatch(each.target.rpartition(".")[2]) is not None
    allowed = table.allowed.get(module.package, frozenset())
    return target in allowed or (each.local and target in table.lazily.get(module.package, frozenset()))


def in_type_checking(module: Module, each: Import) -> bool:
    return any(
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        and node.lineno < each.line <= (node.body[-1].end_lineno or 0)
        for node in module.tree.body
    )


def iter_boto_faults(modules: Iterable[Module]) -> Iterator[str]:
    for module in modules:
        if not module.path.startswith("store/s3/"):
            for each in iter_imports(module):
                if re.match(r"boto3|botocore|s3transfer|(mypy|types)_boto", each.top):
                    yield f"{module.path}:{each.line} imports {each.target}"


def iter_orjson_faults(modules: Iterable[Module]) -> Iterator[str]:
    for module in modules:
        if module.path != "schema/codec.py":
            for each in iter_imports(module):
                if each.top == "orjson":
                    yield f"{module.path}:{each.line} imports {each.target}"


def iter_schema_faults(modules: Iterable[Module]) -> Iterator[str]:
    for module in modules:
        if module.package == "schema":
            for each in iter_imports(module):
                if each.top in IMPURE and each.target not in PURE_NAMES:
                    yield f"{module.path}:{each.line} imports {each.target}"
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call) and called(node) in IMPURE_CALLS:
                    yield f"{module.path}:{node.lineno} calls {called(node)}()"


def called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name
    return ""


def iter_key_faults(modules: Iterable[Module]) -> Iterator[str]:
    for module in modules:
        if module.path != "schema/keys.py":
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and KEY.match(node.value):
                    yield f"{module.path}:{node.lineno} spells the key {node.value!a}"


def iter_stream_faults(modules: Iterable[Module]) -> Iterator[str]:
    users: dict[str, set[str]] = {"stdout": set(), "stderr": set()}
    for module in modules:
        for stream in streams(module):
            users[stream].add(module.path)
    for stream, paths in users.items():
        if len(paths) > 1:
            yield f"{stream} is used by {', '.join(sorted(paths))}"
        for path in sorted(paths):
            if not path.startswith("cli/"):
                yield f"{stream} is used by {path}, which is no module of the command line"
    for path in sorted(users["stdout"] & users["stderr"]):
        yield f"both streams are used by {path}"


def streams(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(ast.Name("sys"), attr=name) if name.strip("_") in {"stdout", "stderr"}:
                yield name.strip("_")
            case ast.ImportFrom("sys", names):
                yield from (name.name for name in names if name.name in {"stdout", "stderr"})
            case ast.Call(ast.Name("print"), keywords=given) if not any(word.arg == "file" for word in given):
                yield "stdout"
            case ast.Call(ast.Attribute(attr="echo" | "secho") | ast.Name("echo" | "secho"), keywords=given):
                yield "stderr" if any(word.arg == "err" for word in given) else "stdout"


def iter_circle_faults(modules: Iterable[Module]) -> Iterator[str]:
    """Yield a circle of modules that import each other, also inside functions or for types only, if there is one."""
    found = {dotted(module.path): module for module in modules}
    ways = {
        name: {place for each in iter_imports(module) if (place := module_of(each.target, found)) not in {None, name}}
        for name, module in found.items()
    }
    try:
        graphlib.TopologicalSorter(ways).prepare()
    except graphlib.CycleError as error:
        yield " imports ".join(reversed(error.args[1]))


def dotted(path: str) -> str:
    return ".".join(["bucketry", *path.removesuffix(".py").removesuffix("__init__").strip("/").split("/")]).strip(".")


def module_of(target: str, modules: Container[str]) -> str | None:
    """Return the module that is loaded where this name is imported, if it is one of these."""
    return next((name for name in (target, target.rpartition(".")[0]) if name in modules), None)


TABLE = read_table((ROOT / "docs" / "architecture.md").read_text("utf-8"))


def table_faults(modules: Iterable[Module]) -> list[str]:
    return list(iter_table_faults(modules, TABLE))


TABLE_RULE = "imports go the ways of the table"
BOTO_RULE = "boto3 is imported by the S3 store only"
ORJSON_RULE = "orjson is imported by the codec only"
SCHEMA_RULE = "the schema does no I/O and reads no clock"
KEY_RULE = "keys are spelled in one module"
STREAM_RULE = "one module of the command line writes stdout, another one stderr"
CIRCLE_RULE = "no circle of imports, not even for types"

RULES: dict[str, Callable[[Iterable[Module]], Iterable[str]]] = {
    TABLE_RULE: table_faults,
    BOTO_RULE: iter_boto_faults,
    ORJSON_RULE: iter_orjson_faults,
    SCHEMA_RULE: iter_schema_faults,
    KEY_RULE: iter_key_faults,
    STREAM_RULE: iter_stream_faults,
    CIRCLE_RULE: iter_circle_faults,
}

BREAKS = [
    (TABLE_RULE, "schema/x.py", "from bucketry.store.contract import Store"),
    (TABLE_RULE, "schema/x.py", "def f():\n    import bucketry.store"),
    (TABLE_RULE, "store/x.py", "from bucketry import schema"),
    (TABLE_RULE, "store/x.py", "if TYPE_CHECKING:\n    from ..schema import names"),
    (TABLE_RULE, "transfer/x.py", "from ..schema.names import Digest"),
    (TABLE_RULE, "transfer/x.py", "importlib.import_module('bucketry.registry')"),
    (TABLE_RULE, "registry/x.py", "from bucketry.cli.main import run"),
    (TABLE_RULE, "tui/x.py", "from bucketry.store.folder import store"),
    (TABLE_RULE, "tui/x.py", "from bucketry.transfer.disk.target import prepare_target"),
    (TABLE_RULE, "registry/x.py", "from bucketry.index.store import Index"),
    (TABLE_RULE, "show/x.py", "from bucketry.tui.drawing.paint import Span"),
    (TABLE_RULE, "cli/x.py", "from bucketry.tui.shell.app import App"),
    (TABLE_RULE, "cli/x.py", "import bucketry"),
    (TABLE_RULE, "errors.py", "from bucketry.schema.text import displayable"),
    (TABLE_RULE, "__init__.py", "from bucketry.registry import publish"),
    (TABLE_RULE, "newcomer/x.py", "from bucketry.schema import names"),
    (BOTO_RULE, "store/folder/store.py", "import boto3"),
    (BOTO_RULE, "registry/x.py", "def f():\n    from botocore.exceptions import A"),
    (BOTO_RULE, "store/x.py", "if TYPE_CHECKING:\n    from mypy_boto3_s3 import S3Client"),
    (ORJSON_RULE, "schema/documents/head.py", "from orjson import dumps"),
    (SCHEMA_RULE, "schema/x.py", "import os.path"),
    (SCHEMA_RULE, "schema/x.py", "from pathlib import Path"),
    (SCHEMA_RULE, "schema/x.py", "at = datetime.datetime.now(UTC)"),
    (SCHEMA_RULE, "schema/x.py", "text = open('x').read()"),
    (KEY_RULE, "registry/x.py", "key = f'heads/{model}.json'"),
    (KEY_RULE, "registry/x.py", "key = f'{prefix}/blobs/' + digest"),
    (KEY_RULE, "registry/x.py", "key = 'registry.json'"),
    (STREAM_RULE, "tui/x.py", "print('x')"),
    (STREAM_RULE, "registry/x.py", "sys.stderr.write('x')"),
    (STREAM_RULE, "store/x.py", "from sys import stdout"),
    (STREAM_RULE, "cli/x.py", "print(1)\nsys.stderr.flush()"),
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_the_program_obeys(rule: str) -> None:
    assert list(RULES[rule](load_modules())) == []


@pytest.mark.parametrize(("rule", "path", "source"), BREAKS)
def test_a_rule_notices_when_it_is_broken(rule: str, path: str, source: str) -> None:
    assert list(RULES[rule]([Module(path, ast.parse(source))])) != []


@pytest.mark.parametrize(
    "back",
    [
        "from bucketry.store.a import A",
        "def f():\n    import bucketry.store.a",
        "if TYPE_CHECKING:\n    from bucketry.store.a import A",
        "from . import a",
    ],
)
def test_a_circle_of_imports_is_noticed_wherever_it_is_closed(back: str) -> None:
    sources = {"store/a.py": "import bucketry.store.b", "store/b.py": "from bucketry.store.c import C"}
    modules = [Module(path, ast.parse(source)) for path, source in (sources | {"store/c.py": back}).items()]
    (fault,) = iter_circle_faults(modules)
    assert {f"bucketry.store.{name}" for name in "abc"} == set(fault.split(" imports "))
    assert list(iter_circle_faults(modules[:2])) == []


def test_one_stream_has_one_user_among_many_modules() -> None:
    modules = [Module(f"cli/{name}.py", ast.parse("click.echo('x', err=True)")) for name in "ab"]
    assert list(iter_stream_faults(modules)) == ["stderr is used by cli/a.py, cli/b.py"]
    assert list(iter_stream_faults(modules[:1])) == []


def test_the_command_line_may_launch_the_screens_from_inside_a_function() -> None:
    source = "def launch():\n    from bucketry.tui.shell.app import run\n    from bucketry import __version__, errors"
    assert table_faults([Module("cli/tui.py", ast.parse(source))]) == []


def test_the_public_names_may_be_imported_for_type_checkers() -> None:
    source = "if TYPE_CHECKING:\n    from bucketry.client import Registry\n"
    assert table_faults([Module("__init__.py", ast.parse(source))]) == []


def test_the_table_lists_every_package_and_nothing_imports_upwards() -> None:
    assert tuple(TABLE.allowed) == PACKAGES
    assert {module.package for module in load_modules()} - {""} <= set(PACKAGES)
    for index, package in enumerate(PACKAGES):
        assert TABLE.allowed[package] | TABLE.values[package] <= set(PACKAGES[:index]), package


def test_faces_may_name_values_of_the_rooms_below() -> None:
    source = "from bucketry.transfer.pace.progress import Progress\n"
    assert table_faults([Module("cli/x.py", ast.parse(source))]) == []


def test_no_two_classes_have_the_same_name() -> None:
    found = Counter(
        node.name for module in load_modules() for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in found.items() if count > 1] == []
