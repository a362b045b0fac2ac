"""Find ONNX tensors whose values are in other files, without the package `onnx`.

An ONNX graph may name a file that holds the values of a tensor. A bundle has no checksum of this
file, and runtimes look for it in the current folder. The scan walks the wire format of Protocol
Buffers (https://protobuf.dev/programming-guides/encoding) along the fields that can lead to a
tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)
DEEPEST = 100  # Largest depth of nested messages; parsers of Protocol Buffers allow no more.

# Field numbers whose values are messages, by message type, from onnx.proto.
FIELDS: Mapping[str, Mapping[int, str]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {
        **{5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph"},
        **{22: "Sparse", 23: "Sparse"},
    },
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # Field numbers of a Tensor.


def has_external_data(model: bytes) -> bool:
    """Return True if a tensor of the ONNX file `model` keeps its values in another file.

    Raises
    ------
    ValueError
        `model` is not a Protocol Buffers message, or is nested too deeply.
    """
    return _scan(memoryview(model), "Model", 0)


def _scan(data: memoryview, kind: str, depth: int) -> bool:
    if depth > DEEPEST:
        raise ValueError("messages are nested too deeply")
    fields = FIELDS[kind]
    for number, wire_type, value in _fields_of(data):
        if kind == "Tensor" and number == EXTERNAL_DATA and wire_type == BYTES:
            return True
        if kind == "Tensor" and number == DATA_LOCATION and wire_type == VARINT and value:
            return True
        inner = fields.get(number)
        if inner and isinstance(value, memoryview) and _scan(value, inner, depth + 1):
            return True
    return False


def _fields_of(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yield number, wire type and value of each field.

    The value is an integer for VARINT, a view of the data without a copy for BYTES, and 0 for
    other wire types.
    """
    at, groups = 0, 0
    while at < len(data):
        tag, at = _varint(data, at)
        tag &= 0xFFFFFFFF  # Parsers drop the higher bits too.
        number, wire_type = tag >> 3, tag & 7
        value: int | memoryview = 0
        if wire_type == VARINT:
            value, at = _varint(data, at)
        elif wire_type in (FIXED32, FIXED64):
            at += 4 if wire_type == FIXED32 else 8
        elif wire_type == BYTES:
            length, at = _varint(data, at)
            value = data[at : at + length]
            at += length
        elif wire_type == GROUP:
            groups += 1
        elif wire_type == END_GROUP and groups:
            groups -= 1
        else:
            raise ValueError("is no message of Protocol Buffers")
        if at > len(data) or not number:
            raise ValueError("is no message of Protocol Buffers")
        if not groups:  # ONNX has no groups; every parser skips their content.
            yield number, wire_type, value
    if groups:
        raise ValueError("is no message of Protocol Buffers")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the number that is encoded at offset `at`, and the offset after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("is no message of Protocol Buffers")
