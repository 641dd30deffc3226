"""Is every name found that an unpickler would import, and is only a name that is known to be harmless called so?"""

from __future__ import annotations

import contextlib
import io
import pickle
import warnings

import picklescan.scanner  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bucketry.registry.scanning.pickle_imports import Safety, safety_of
from examples import of_hundred
from registry.scanned_files import CALL, scan


class Mark:
    def __reduce__(self) -> tuple[object, ...]:
        return mark, ()


reached: list[bool] = []


def mark() -> None:
    reached.append(True)


PARTS = [
    b"cos\ngetpid\n", b"\x8c\x02os", b"\x8c\x06getpid", b"\x93", b")R", b"(tR", b"(", b"t", b"N", b".", b"0",
    b"1", b"2", b"\x94", b"q\x00", b"h\x00", b"h\x01", b"}", b"b", b"s", b"\x80\x04", b"\x95\x05" + bytes(7),
    b"\x85", b"I0x10\n", b"I010\n", b"S'os'\n", b"Vos\n", b"p0\n", b"g0\n", b"\x81", b"\x88", b"]", b"e",
    b"a", b"\xff", b"Px\n", b"Q", b"c" + __name__.encode() + b"\nmark\n",
    b"i" + __name__.encode() + b"\nmark\n", b"o", b"I5\0x\n", b"I\n",
]  # fmt: skip


# Names that scanners with a list of bad names were reported to pass, and others of their kind.
@pytest.mark.parametrize(
    "name",
    [
        "numpy.__builtins__", "numpy.__dict__", "numpy.os", "numpy.linalg.linalg.__builtins__", "torch.os.system",
        "pip.main", "pip._internal.main", "torch.hub.load", "pty.spawn", "asyncio.unix_events._UnixSubprocessTransport",
        "idlelib.pyshell.ModifiedInterpreter", "idlelib.run.Executive.runcode", "lib2to3.pgen2.grammar.Grammar.loads",
        "code.InteractiveInterpreter", "timeit.Timer", "cProfile.runctx", "profile.Profile.run", "trace.Trace.run",
        "pdb.Pdb", "bdb.Bdb.run", "doctest.debug_script", "ensurepip._run_pip", "venv.EnvBuilder", "ctypes.CDLL",
        "torch._dynamo.guards.GuardBuilder.get", "torch._inductor.codecache.compile_file",
        "torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression",
        "torch.jit.unsupported_tensor_ops.execWrapper", "torch.utils._config_module.load_config",
        "torch.utils.bottleneck.__main__.run_cprofile", "torch.utils.collect_env.run", "torch.serialization.load",
        "torch.utils.data.datapipes.utils.decoder.basichandlers", "torch.storage._load_from_bytes",
        "numpy.f2py.crackfortran.getlincoef", "numpy.testing._private.utils.runstring", "numpy.load",
        "cloudpickle.cloudpickle._make_function", "dill._dill._create_code", "joblib.load", "pandas.read_pickle",
        "builtins.getattr", "builtins.exec", "__builtin__.eval", "operator.methodcaller", "functools.reduce",
        "types.FunctionType", "types.CodeType", "importlib.import_module", "runpy.run_path", "pydoc.pipepager",
        "logging.config._resolve", "urllib.request.urlopen", "webbrowser.open", "shutil.rmtree", "pkgutil.resolve_name",
        "uuid._get_command_stdout", "_osx_support._read_output", "_aix_support._read_cmd_output", "test.support.run",
        "_pyrepl.pager.pipe_pager", "copyreg.add_extension", "pickle.loads", "marshal.loads", "site.main",
        "sys.modules", "nt.system", "posix.popen", "imp.load_source", "distutils.spawn.spawn",
        "setuptools.sandbox.run_setup", "some.library.function", "a b.X", "sklearn.__loader__",
    ],
)  # fmt: skip
def test_a_name_that_may_do_anything_is_dangerous(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    while not (module.rpartition(".")[2][:1].islower() or "_" in module) and "." in module:
        module, _, more = module.rpartition(".")
        attribute = f"{more}.{attribute}"
    assert scan(f"c{module}\n{attribute}\n(S'x'\ntR.".encode()).dangerous == {name}
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, attribute))
    assert scan(b"\x80\x04" + texts + b"\x93" + CALL).dangerous == {name}


@pytest.mark.parametrize(
    ("name", "safety"),
    [
        ("collections.OrderedDict", Safety.HARMLESS),
        ("torch._utils._rebuild_tensor_v2", Safety.HARMLESS),
        ("torch.FloatStorage", Safety.HARMLESS),
        ("numpy._core.multiarray._reconstruct", Safety.HARMLESS),
        ("__builtin__.set", Safety.HARMLESS),
        ("copy_reg._reconstructor", Safety.HARMLESS),
        ("sklearn.ensemble._forest.RandomForestClassifier", Safety.UNKNOWN),
        ("sklearn.metrics._scorer._Scorer", Safety.UNKNOWN),
        ("sklearn._loss._loss.__pyx_unpickle_CyHalfBinomialLoss", Safety.UNKNOWN),
        ("functools.partial", Safety.UNKNOWN),
        ("__main__.Net", Safety.UNKNOWN),
        ("__main__.run", Safety.DANGEROUS),
    ],
)
def test_a_name_is_harmless_or_unknown_only_if_it_is_known_or_a_class(name: str, safety: Safety) -> None:
    module, _, attribute = name.rpartition(".")
    assert safety_of(module, attribute) is safety


@settings(max_examples=of_hundred(150))
@given(st.binary(max_size=300), st.integers(0, 5))
def test_whatever_runs_in_an_unpickler_was_found(noise: bytes, protocol: int) -> None:
    """Code is put among random bytes; where Python's unpickler reaches it, the scan has found it."""
    body = noise[:150] + pickle.dumps(Mark(), protocol)[:-1] + noise[150:]
    reached.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for unpickler in (pickle.Unpickler, pickle._Unpickler):  # noqa: SLF001
            with contextlib.suppress(Exception):
                unpickler(io.BytesIO(body)).load()
    findings = scan(body)
    assert not reached or findings.dangerous or findings.faults


@settings(max_examples=of_hundred(150))
@given(st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join))
def test_what_a_scanner_with_a_list_of_bad_names_finds_is_never_cleared(body: bytes) -> None:
    reached.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for unpickler in (pickle.Unpickler, pickle._Unpickler):  # noqa: SLF001
            with contextlib.suppress(Exception):
                unpickler(io.BytesIO(body)).load()
    ours = scan(body)
    assert not reached or ours.dangerous or ours.faults
    try:
        theirs = picklescan.scanner.scan_pickle_bytes(io.BytesIO(body), "x")
    except ValueError:
        return
    level = picklescan.scanner.SafetyLevel.Dangerous
    is_bad = not theirs.scan_err and any(each.safety is level for each in theirs.globals)
    assert not is_bad or ours.dangerous or ours.faults
