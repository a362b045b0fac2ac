"""The default bundle, and bundles that must be refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import onnx
import pytest

from edge.errors import BundleError
from edge.inference.bundle import default_bundle, load_bundle
from edge.inference.captioner import load_captioner
from edge.inference.onnx_scan import DATA_LOCATION, EXTERNAL_DATA, FIELDS, has_external_data
from export.check import verify
from export.contents import inspect
from tests.helpers import SAMPLE, aac_stream, the_one_line


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_bundle(), tmp_path / "bundle"))


def test_the_default_bundle_is_whole_small_and_described() -> None:
    folder = default_bundle()
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 15e6
    bundle = load_bundle(folder)
    assert bundle.precision == "int8"
    assert bundle.features.sample_rate == 16_000
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["licence"]
    assert {"sources", "clips", "steps", "seed"} <= set(manifest["training"])


def test_an_altered_graph_is_refused(copy: Path) -> None:
    data = bytearray((copy / "decoder.onnx").read_bytes())
    data[1000] ^= 1
    (copy / "decoder.onnx").write_bytes(data)
    with pytest.raises(BundleError, match=r"decoder\.onnx: is not the file that was shipped"):
        load_bundle(copy)


def test_a_missing_graph_is_named(copy: Path) -> None:
    (copy / "encoder.onnx").unlink()
    with pytest.raises(BundleError, match=r"encoder\.onnx: cannot be read"):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 1}, "has version 1, this program reads version 2; export the model again"),
        ({"version": None}, "has version None"),
        ({"features": {}}, "'sample_rate' is missing or not known"),
        ({"files": {}}, r"'encoder\.onnx' is missing or not known"),
        ({"vocabulary": None}, "'NoneType'"),
        ({"vocabulary": ["<pad>", 3]}, "vocabulary or quiet_captions: holds what is not text"),
        ({"vocabulary": ["<pad>"]}, "token 1 is not in the vocabulary of 1 words"),
        ({"format": "tflite"}, "'tflite' is missing or not known"),
        ({"search": {"beam": "3"}}, "beam: '3' is not a whole number"),
        (
            {"search": {"beam": 3, "max_tokens": 9, "no_repeat_ngram": 0, "forbidden": [2]}},
            "search: forbids the end token",
        ),
        (
            {"search": {"beam": 0, "max_tokens": 9, "no_repeat_ngram": 0, "forbidden": []}},
            "search: holds a size below 1",
        ),
        ({"search": {"beams": 3}}, "'beams' is missing or not known"),
    ],
)
def test_a_wrong_manifest_is_refused(copy: Path, change: dict[str, object], says: str) -> None:
    path = copy / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError, match=says):
        load_bundle(copy)


def test_a_damaged_manifest_is_refused(copy: Path) -> None:
    path = copy / "manifest.json"
    path.write_text(path.read_text()[:500])
    with pytest.raises(BundleError, match="is damaged"):
        load_bundle(copy)


def put(folder: Path, name: str, graph: bytes) -> None:
    """Replace a graph, and its checksum."""
    (folder / name).write_bytes(graph)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name] = hashlib.sha256(graph).hexdigest()
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (b"no graph", r"encoder\.onnx: is no ONNX graph; install the model again"),
        (b"<?xml version='1.0'?><net/>", "is no ONNX graph"),
        (b"\x38\0\0\0ORTM", "is no ONNX graph"),
        (b"\x08\x0a\x80\x01\0ORTM", "is no ONNX graph"),
        (b"", "ONNX Runtime refuses it"),
        (b"\x08\x0aORTM\x00", "ONNX Runtime refuses it|is no ONNX graph"),
    ],
)
def test_a_graph_that_is_no_graph_is_refused(copy: Path, graph: bytes, says: str) -> None:
    """Checksums right, content wrong: what a broken export would leave."""
    put(copy, "encoder.onnx", graph)
    with pytest.raises(BundleError, match=says):
        load_captioner(copy)


# --- weights in other files, which have no checksum


def outside(name: str = "w") -> onnx.TensorProto:
    """A tensor whose values are in the file "weights.bin" of the current folder."""
    tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=[1])
    tensor.external_data.add(key="location", value="weights.bin")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    return tensor


def inside(name: str = "w") -> onnx.TensorProto:
    return onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT, [1], [1.0])


def node(**attributes: object) -> onnx.NodeProto:
    return onnx.helper.make_node("Constant", [], ["c"], **attributes)


def graph_of(**parts: object) -> onnx.GraphProto:
    return onnx.GraphProto(name="g", **parts)


def sparse(values: onnx.TensorProto, indices: onnx.TensorProto) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=values, indices=indices, dims=[1])


def model(graph: onnx.GraphProto, **more: object) -> onnx.ModelProto:
    return onnx.ModelProto(ir_version=10, graph=graph, **more)


def located_only() -> onnx.TensorProto:
    tensor = inside()
    tensor.data_location = onnx.TensorProto.EXTERNAL
    return tensor


def named_only() -> onnx.TensorProto:
    tensor = outside()
    tensor.ClearField("data_location")
    return tensor


def places(t: onnx.TensorProto) -> dict[str, onnx.ModelProto]:
    """Models that hold the tensor `t` in each of the places that ONNX has for tensors."""
    plain = inside()
    attribute = onnx.helper.make_attribute("value", t)
    branch = graph_of(node=[onnx.NodeProto(op_type="Constant", attribute=[attribute])])
    return {
        "initializer": model(graph_of(initializer=[plain, t])),
        "sparse values": model(graph_of(sparse_initializer=[sparse(t, plain)])),
        "sparse indices": model(graph_of(sparse_initializer=[sparse(plain, t)])),
        "constant": model(graph_of(node=[node(value=t)])),
        "sparse constant": model(graph_of(node=[node(sparse_value=sparse(t, plain))])),
        "tensors": model(graph_of(node=[node(values=[plain, t])])),
        "sparse tensors": model(graph_of(node=[node(values=[sparse(plain, t)])])),
        "subgraph": model(graph_of(node=[node(then_branch=graph_of(initializer=[t]))])),
        "subgraphs": model(graph_of(node=[node(branches=[graph_of(), graph_of(initializer=[t])])])),
        "nested": model(graph_of(node=[node(body=graph_of(node=[node(body=branch)]))])),
        "function": model(
            graph_of(), functions=[onnx.FunctionProto(name="f", node=[node(value=t)])]
        ),
        "default of a function": model(
            graph_of(), functions=[onnx.FunctionProto(name="f", attribute_proto=[attribute])]
        ),
        "training": model(
            graph_of(), training_info=[onnx.TrainingInfoProto(algorithm=graph_of(initializer=[t]))]
        ),
    }


@pytest.mark.parametrize("place", places(inside()))
def test_external_data_is_found_wherever_a_tensor_can_be(place: str) -> None:
    assert not has_external_data(places(inside())[place].SerializeToString())
    for tensor in (outside(), located_only(), named_only()):
        assert has_external_data(places(tensor)[place].SerializeToString())


def test_all_ways_to_a_tensor_are_known() -> None:
    """As the package onnx that is installed has them."""
    kinds = {"ModelProto": onnx.ModelProto.DESCRIPTOR}
    fields: dict[str, dict[int, str]] = {}
    while kinds.keys() - fields.keys():
        for kind in kinds.keys() - fields.keys():
            inner = [field for field in kinds[kind].fields if field.message_type]
            fields[kind] = {field.number: field.message_type.name for field in inner}
            kinds |= {field.message_type.name: field.message_type for field in inner}
    leading = {"TensorProto"}
    while more := {k for k, f in fields.items() if leading & set(f.values())} - leading:
        leading |= more
    short = {name: name.removesuffix("Proto").removesuffix("Info") for name in leading}
    short |= {"SparseTensorProto": "Sparse"}
    found = {
        short[kind]: {n: short[to] for n, to in fields[kind].items() if to in leading}
        for kind in leading
    }
    assert found == FIELDS
    numbers = onnx.TensorProto.DESCRIPTOR.fields_by_name
    assert numbers["external_data"].number == EXTERNAL_DATA
    assert numbers["data_location"].number == DATA_LOCATION


def test_odd_encodings_hide_nothing() -> None:
    """What parsers of Protocol Buffers take for the same."""
    tensor = outside().SerializeToString()
    located = located_only().SerializeToString()
    assert located.endswith(b"\x70\x01")

    def whole(tensor: bytes, tag: bytes = b"\x2a") -> bytes:
        graph = tag + bytes([len(tensor)]) + tensor
        return b"\x3a" + bytes([len(graph)]) + graph

    for odd in (
        whole(tensor),
        whole(tensor, b"\xaa\x00"),  # the field's number with a needless byte
        whole(located[:-1] + b"\x81\x80\x80\x80\x10"),  # 2 ** 32 + 1
        whole(located[:-1] + b"\x81\x00"),
        b"\x3b\x08\x01\x3c" + whole(tensor),  # after a group, which is skipped
        whole(inside().SerializeToString()) + whole(tensor),  # two graphs are one
    ):
        read = onnx.load_from_string(odd).graph.initializer[-1]
        assert read.external_data or read.data_location == onnx.TensorProto.EXTERNAL
        assert has_external_data(odd)
    # Some parsers refuse bits of a field's number that others drop.
    assert has_external_data(whole(tensor, b"\xaa\x80\x80\x80\x70"))
    for broken in (b"\x3a", b"\x3a\x05a", b"\x00\x00", b"\x0c", b"\x0b", b"\xff" * 11, b"\x3d\x00"):
        with pytest.raises(ValueError, match="is no message"):
            has_external_data(broken)
    with pytest.raises(ValueError, match="too deep"):
        has_external_data(deep())


def deep() -> bytes:
    """Graphs within graphs."""
    data = b""
    for _ in range(60):
        for tag in (b"\x32", b"\x2a", b"\x0a"):  # a graph of an attribute of a node
            data = tag + _length(data) + data
    return b"\x3a" + _length(data) + data


def _length(data: bytes) -> bytes:
    return bytes([len(data) & 127 | 128, len(data) >> 7 & 127 | 128, len(data) >> 14])


def test_a_bundle_with_external_data_is_refused_everywhere(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checksums are right, and a file in the current folder would be the weights."""
    monkeypatch.chdir(tmp_path)
    graph = onnx.load(copy / "encoder.onnx")
    onnx.save_model(
        graph, "encoder.onnx", save_as_external_data=True, location="weights.bin", size_threshold=64
    )
    assert (tmp_path / "weights.bin").stat().st_size > 1e6
    put(copy, "encoder.onnx", Path("encoder.onnx").read_bytes())
    says = r"encoder\.onnx: has weights in another file \(external data\), which no checksum covers"
    for backend in ("onnx", "torch", "openvino"):
        with pytest.raises(BundleError, match=says):
            load_captioner(copy, backend=backend)
    with pytest.raises(BundleError, match=says):
        list(verify(copy))
    with pytest.raises(BundleError, match=says):
        inspect(copy)


def test_a_graph_cannot_bring_code_of_its_own(copy: Path) -> None:
    graph = onnx.load(copy / "encoder.onnx")
    graph.graph.node[0].domain = "com.example"
    graph.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    put(copy, "encoder.onnx", graph.SerializeToString())
    with pytest.raises(BundleError, match="ONNX Runtime refuses it"):
        load_captioner(copy)


# --- the format of OpenVINO


@pytest.fixture
def for_openvino(copy: Path) -> Path:
    openvino = pytest.importorskip("edge.inference.backends.quiet_openvino").openvino
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in ("encoder", "decoder"):
        read = openvino.Core().read_model(copy / f"{name}.onnx")
        openvino.save_model(read, copy / f"{name}.xml", compress_to_fp16=False)
        (copy / f"{name}.onnx").unlink()
    names = [f"{name}.{suffix}" for name in ("encoder", "decoder") for suffix in ("xml", "bin")]
    path.write_text(json.dumps(manifest | {"format": "openvino", "files": dict.fromkeys(names)}))
    for name in names:
        put(copy, name, (copy / name).read_bytes())
    return copy


def test_weights_of_openvino_have_checksums_and_are_those_that_run(
    for_openvino: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    weights = for_openvino / "encoder.bin"
    read = load_bundle(for_openvino)
    xml = read.graphs["encoder.xml"]
    put(
        for_openvino,
        "encoder.xml",
        xml.replace(b"<layers>", b'<extension path="no.so"/><layers>', 1),
    )
    load_captioner(for_openvino, backend="openvino")  # it loads no library
    put(for_openvino, "encoder.xml", (default_bundle() / "encoder.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"encoder\.xml: is no graph of OpenVINO"):
        load_bundle(for_openvino)
    put(for_openvino, "encoder.xml", xml)
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BundleError, match=r"encoder\.bin: is not the file that was shipped"):
        load_bundle(for_openvino)


def test_the_command_line_names_a_missing_bundle() -> None:
    done = aac_stream("--device", str(SAMPLE), "--bundle", "/nowhere")
    assert "/nowhere/manifest.json: cannot be read" in the_one_line(done)
    assert done.stdout == ""
