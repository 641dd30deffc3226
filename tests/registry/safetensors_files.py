"""How is a safetensors file made by hand, well or badly?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def make_file(header: object, content: bytes, *, length: int | None = None) -> bytes:
    """Return a file with this header, as bytes or as JSON; `length` is what it claims the header's to be."""
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(encoded) if length is None else length).to_bytes(8, "little") + encoded + content


def make_tensors(tensors: Mapping[str, tuple[str, list[int], bytes]], *, padding: int = 0) -> bytes:
    """Return a file of tensors, each its dtype, shape and bytes, with spaces behind the header."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    content = b""
    for name, (dtype, shape, body) in tensors.items():
        offsets = [len(content), len(content) + len(body)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        content += body
    return make_file(json.dumps(header).encode() + b" " * padding, content)
