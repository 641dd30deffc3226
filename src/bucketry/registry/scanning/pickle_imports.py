"""Judges what may happen when a pickle imports a name: nothing, nobody knows, or whatever its author wants.

Whoever can import any function can run any code, and there is no end of functions that run what they are given. So
names are not searched for those that are known to be bad: a name is harmless if it is known to be, unknown if it can
only be a class of some library that is not Python's own, and everything else is dangerous.
"""

from __future__ import annotations

import re
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from enum import Enum


class Safety(Enum):
    """What is known of a name."""

    HARMLESS = "harmless"
    UNKNOWN = "unknown"
    DANGEROUS = "dangerous"


# fmt: off
_STORAGES = (
    "BFloat16Storage BoolStorage ByteStorage CharStorage ComplexDoubleStorage ComplexFloatStorage DoubleStorage "
    "FloatStorage HalfStorage IntStorage LongStorage QInt32Storage QInt8Storage QUInt2x4Storage QUInt4x2Storage "
    "QUInt8Storage ShortStorage"
)
_TORCH_DTYPES = (
    "bfloat16 bool cdouble cfloat chalf complex128 complex32 complex64 double float float16 float32 float64 "
    "float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz half int int16 int32 int64 int8 long qint32 qint8 "
    "quint2x4 quint4x2 quint8 short uint16 uint32 uint64 uint8"
)
_NUMPY_TYPES = (
    "bool bool_ bytes_ complex128 complex64 datetime64 float16 float32 float64 int16 int32 int64 int8 longdouble "
    "longlong object_ str_ timedelta64 uint16 uint32 uint64 uint8 ulonglong void"
)
_ACTIVATIONS = (
    "celu elu gelu hardsigmoid hardswish hardtanh leaky_relu log_softmax logsigmoid mish prelu relu relu6 rrelu selu "
    "sigmoid silu softmax softplus softsign tanh"
)
_BUILTINS = (
    "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple Ellipsis "
    "NotImplemented"
)
_HARMLESS = {
    "builtins": _BUILTINS,
    "__builtin__": _BUILTINS + " long unicode xrange",
    "collections": "Counter OrderedDict defaultdict deque ChainMap",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "uuid": "UUID",
    "copyreg": "_reconstructor",
    "copy_reg": "_reconstructor",
    "_codecs": "encode",
    "argparse": "Namespace",
    "types": "SimpleNamespace",
    "numpy": f"dtype ndarray {_NUMPY_TYPES}",
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy.core._internal": "_reconstruct",
    "numpy.core.numeric": "_frombuffer",
    "numpy._core.numeric": "_frombuffer",
    "numpy.ma.core": "_mareconstruct MaskedArray",
    "numpy.random": "RandomState Generator",
    "numpy.random._pickle": "__bit_generator_ctor __generator_ctor __randomstate_ctor",
    "numpy.random.mtrand": "RandomState",
    "numpy.random._mt19937": "MT19937",
    "numpy.random._pcg64": "PCG64 PCG64DXSM",
    "torch": f"device dtype Size Tensor Generator {_STORAGES} {_TORCH_DTYPES}",
    "torch.storage": "TypedStorage UntypedStorage _TypedStorage _UntypedStorage",
    "torch.cuda": _STORAGES,
    "torch._tensor": "_rebuild_from_type_v2",
    "torch._utils": (
        "_rebuild_parameter _rebuild_parameter_with_state _rebuild_qtensor _rebuild_sparse_tensor "
        "_rebuild_sparse_csr_tensor _rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 "
        "_rebuild_meta_tensor_no_storage _rebuild_nested_tensor _rebuild_device_tensor_from_numpy "
        "_rebuild_wrapper_subclass"
    ),
    "torch.nn.parameter": "Parameter Buffer UninitializedParameter",
    "torch.serialization": "_get_layout",
    "torch.jit._pickle": (
        "build_boollist build_doublelist build_intlist build_tensor_from_id build_tensorlist restore_type_tag"
    ),
    "torch.nn.functional": _ACTIVATIONS,
    "torch._C._nn": "gelu silu mish relu6 elu leaky_relu",
    "joblib.numpy_pickle": "NumpyArrayWrapper NDArrayWrapper ZNDArrayWrapper",
    "scipy.sparse._csr": "csr_matrix csr_array",
    "scipy.sparse._csc": "csc_matrix csc_array",
    "scipy.sparse._coo": "coo_matrix coo_array",
    "scipy.sparse.csr": "csr_matrix",
    "scipy.sparse.csc": "csc_matrix",
    "scipy.sparse.coo": "coo_matrix",
    "pandas": "DataFrame Index MultiIndex RangeIndex Series",
    "pandas.core.indexes.base": "Index _new_Index",
    "pandas.core.indexes.range": "RangeIndex",
    "pandas.core.indexes.multi": "MultiIndex",
    "pandas.core.frame": "DataFrame",
    "pandas.core.series": "Series",
    "pandas.core.internals.managers": "BlockManager SingleBlockManager",
    "pandas._libs.internals": "_unpickle_block BlockPlacement",
}
_UNKNOWN = {
    "functools": "partial",  # calls what it is given, which must be imported too, and is judged then
    "sklearn.neighbors._kd_tree": "newObj",
    "sklearn.neighbors._ball_tree": "newObj",
    "sklearn.metrics._dist_metrics": "newObj",
}
_OLD_PYTHON = (
    "BaseHTTPServer CGIHTTPServer Bastion SimpleHTTPServer SimpleXMLRPCServer SocketServer StringIO UserDict UserList "
    "UserString asynchat asyncore audiodev binhex cPickle cStringIO cgi cgitb chunk commands compiler cookielib crypt "
    "distutils dl exceptions fl formatter ftplib gopherlib htmllib httplib ihooks imp imputil ihooks lib2to3 "
    "linuxaudiodev macpath mailcap md5 mhlib mimify msilib multifile nis nntplib nt ntpath os2 ossaudiodev parser "
    "pipes popen2 posixfile posix pwd rexec rfc822 sets sha smtpd sndhdr spwd statvfs sunau sunaudio symbol telnetlib "
    "test this toaiff uu urllib2 urlparse xdrlib xmllib xmlrpclib __builtin__ __builtins__ compression pathlib "
    "annotationlib concurrent idlelib turtledemo antigravity"
)
_TOOLS = (
    "IPython Cython _distutils_hack _pytest aiohttp ansible asyncssh boto3 botocore bpython buildout "
    "cffi cloudpickle code conda coverage cython debugpy dill django docker easy_install eventlet "
    "execnet fabric fire flask gevent git greenlet gunicorn httpx huggingface_hub importlib_metadata ipykernel "
    "invoke jinja2 joblib jsonpickle jupyter jupyter_client keyring loky mako multiprocess nbconvert "
    "notebook nose numba numexpr paramiko pexpect pip pipenv pkg_resources plumbum poetry psutil ptyprocess "
    "pudb py py_compile pycparser pycuda pydevd pyinstaller pyximport pytest ray requests rich rpyc s3fs setuptools sh "
    "shellingham smart_open starlette torchserve tornado tox twisted typer uv urllib3 uvicorn virtualenv "
    "wandb werkzeug wheel yaml zmq zope"
)
_MACHINERY = (
    "numpy.distutils numpy.f2py numpy.testing numpy.lib numpy.ctypeslib numpy.compat numpy.tests "
    "torch._dynamo torch._inductor torch._export torch.compiler torch.cuda.jiterator torch.distributed torch.fx "
    "torch.export torch.hub torch.jit torch.multiprocessing torch.onnx torch.package torch.profiler "
    "torch.serialization torch.testing torch.utils torch._appdirs torch._classes torch._ops torch.backends "
    "pandas.compat pandas.io pandas.util pandas.testing pandas.core.computation scipy.weave sklearn.externals "
    "sklearn.utils.fixes sklearn.datasets tensorflow.python keras.src.saving keras.utils transformers.utils "
    "transformers.commands transformers.dynamic_module_utils"
)
_MODELS = (
    "catboost flax fairseq gensim jax joblib keras lightgbm mxnet numpy onnx pandas paddle pytorch_lightning scipy "
    "sklearn spacy statsmodels tensorflow tokenizers torch torchvision transformers ultralytics xgboost"
)
# fmt: on
_KNOWN = {
    **{(module, name): Safety.UNKNOWN for module, names in _UNKNOWN.items() for name in names.split()},
    **{(module, name): Safety.HARMLESS for module, names in _HARMLESS.items() for name in names.split()},
}
_PYTHON = frozenset(sys.stdlib_module_names) | frozenset(_OLD_PYTHON.split())
_NEVER_IN_A_MODEL = frozenset(_TOOLS.split())
_NEVER_IN_A_MODEL_BELOW = tuple(_MACHINERY.split())
_PACKAGES_OF_MODELS = frozenset(_MODELS.split())
_CLASS = re.compile(r"_?[A-Z][A-Za-z0-9_]*")
_MADE_BY_CYTHON = re.compile(r"__pyx_unpickle_[A-Za-z0-9_]+")
_PRIVATE = re.compile(r"__.*")
_TORCHSCRIPT = re.compile(r"__torch__(\.[A-Za-z0-9_]+)*")


def safety_of(module: str, name: str) -> Safety:
    """Return what is known of a name, also under the name that Python 3 gives to one of Python 2."""
    renamed = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    found = {_safety(module, name), _safety(*renamed)}
    for safety in (Safety.DANGEROUS, Safety.UNKNOWN):
        if safety in found:
            return safety
    return Safety.HARMLESS


def is_known_package(module: str) -> bool:
    """Return whether a module is Python's own or of a library that pickles are known to import from."""
    top = module.partition(".")[0]
    return top in _PYTHON or top in _NEVER_IN_A_MODEL or top in _PACKAGES_OF_MODELS


def _safety(module: str, name: str) -> Safety:
    known = _KNOWN.get((module, name))
    if known is not None:
        return known
    if _TORCHSCRIPT.fullmatch(module) and _CLASS.fullmatch(name):
        return Safety.HARMLESS  # the name of a type in the archive itself, which Python cannot import
    top = module.partition(".")[0]
    is_machinery = any(f"{module}.".startswith(f"{prefix}.") for prefix in _NEVER_IN_A_MODEL_BELOW)
    if top in _PYTHON or top in _NEVER_IN_A_MODEL or is_machinery:
        return Safety.DANGEROUS
    if any(not part.isidentifier() or _PRIVATE.fullmatch(part) for part in module.split(".") if part != "__main__"):
        return Safety.DANGEROUS
    return Safety.UNKNOWN if _CLASS.fullmatch(name) or _MADE_BY_CYTHON.fullmatch(name) else Safety.DANGEROUS
