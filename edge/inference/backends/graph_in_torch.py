"""An ONNX graph as a module of PyTorch, with the very weights and arithmetic of the graph."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from edge.errors import BundleError
from edge.inference.backends.torch_integers import INTEGER_OPS, round_trip_bounds
from edge.inference.backends.torch_ops import OPS, unknown
from edge.inference.bundle import MEND

TABLE = {**OPS, **INTEGER_OPS}
CONVERTED = {"Constant", "Identity"}  # by the plan itself
FOUR_BITS = {onnx.TensorProto.INT4, onnx.TensorProto.UINT4}
OLDEST = 13  # opset; before it, some attributes had other defaults


class Step(NamedTuple):
    """One call of a run; values go by name, or by slot once all are known."""

    function: Callable[..., Any]
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    last: Sequence[int] = ()  # slots that no later step reads


class TorchGraph(nn.Module):
    """Runs the graph of an ONNX model.

    The nodes are converted once, and what depends on constants alone is computed then. A run
    follows the steps that are left, over one list of values: constants, then what the run makes.
    """

    def __init__(self, model: bytes) -> None:
        """Of the bytes of an ONNX file. Raises: BundleError if it cannot be run."""
        super().__init__()
        plan = _Plan(_parse(model))
        steps = plan.needed()
        read = {name for step in steps for name in step.inputs} | set(plan.outputs)
        constants = [name for name in plan.constants if name in read]
        for i, name in enumerate(constants):
            self.register_buffer(f"constant_{i}", plan.constants[name])
        made = [*plan.inputs, *(name for step in steps for name in step.outputs)]
        slots = {name: i for i, name in enumerate([*constants, *plan.numbers, *made])}
        self._rest = [*plan.numbers.values(), *[None] * len(made)]
        self._inputs = [(name, slots[name]) for name in plan.inputs]
        self._outputs = [slots[name] for name in plan.outputs]
        self._steps: list[Step] = []
        kept = {slots[name] for name in [*constants, *plan.numbers, *plan.outputs]}
        for step in reversed(steps):
            ins, outs = ([slots[name] for name in names] for names in (step.inputs, step.outputs))
            last = {*ins, *outs} - kept
            kept |= last
            self._steps.insert(0, Step(step.function, ins, outs, sorted(last)))

    def forward(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """The graph's outputs in order. To be called under `torch.inference_mode()`."""
        values: list[Any] = [*self._buffers.values(), *self._rest]
        for name, slot in self._inputs:
            values[slot] = inputs[name]
        for function, ins, outs, last in self._steps:
            result = function(*[values[slot] for slot in ins])
            for slot, value in zip(outs, _several(result), strict=True):
                values[slot] = value
            for slot in last:
                values[slot] = None
        return [values[slot] for slot in self._outputs]


def _several(result: Any) -> Sequence[Any]:
    return result if isinstance(result, tuple) else (result,)


class _Plan:
    """Steps, constants and their names, from the nodes of a graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.constants = {tensor.name: _tensor(tensor) for tensor in graph.initializer}
        self.numbers: dict[str, Any] = {"": None}  # constants as Python numbers; "" is no input
        self.inputs = [value.name for value in graph.input if value.name not in self.constants]
        self.steps: list[Step] = []
        self._versions = {opset.domain: opset.version for opset in model.opset_import}
        self._narrow = {
            tensor.name for tensor in graph.initializer if tensor.data_type in FOUR_BITS
        }
        self._same: dict[str, str] = {}  # name: another of the same value
        self._quantised: dict[str, list[str]] = {}  # output of a QuantizeLinear: its inputs
        for node in graph.node:
            self._convert(node)
        self.outputs = [self._same.get(value.name, value.name) for value in graph.output]

    def needed(self) -> list[Step]:
        """The steps that lead to an output."""
        wanted, steps = set(self.outputs), []
        for step in reversed(self.steps):
            if not wanted.isdisjoint(step.outputs):
                wanted.update(step.inputs)
                steps.append(step)
        return steps[::-1]

    def _convert(self, node: onnx.NodeProto) -> None:
        name = _name(node)
        inputs = [self._same.get(value, value) for value in node.input]
        outputs = [value or f"{node.output[0]} {i}" for i, value in enumerate(node.output)]
        attributes = self._attributes(node)
        if name == "Constant":
            self.constants[outputs[0]] = _constant(attributes)
        elif name == "Identity":
            self._same[outputs[0]] = inputs[0]
        elif name == "DequantizeLinear" and (bounds := self._round_trip(inputs)):
            # Rounded as an integer without being stored as one, once for all that read it.
            rounded = f"{inputs[0]} rounded"
            if rounded not in self._same.values():
                self._call("RoundTrip", self._quantised[inputs[0]][:2], [rounded], bounds)
            self._same[outputs[0]] = rounded
        else:
            if any(node.output[1:]) and not TABLE[name].many:
                raise unknown(f"{name} with {len(outputs)} outputs")
            if name == "QuantizeLinear":
                if not self._narrow.isdisjoint(inputs):
                    raise unknown(f"{name} with 4 bits")
                self._quantised[outputs[0]] = inputs
            self._call(name, inputs, outputs, attributes)

    def _call(
        self, name: str, inputs: list[str], outputs: list[str], attributes: dict[str, Any]
    ) -> None:
        """Steps for one operator of the table."""
        op = TABLE[name]
        inputs = list(inputs)
        run, prepare = _accepted(op.run, attributes), _accepted(op.prepare, attributes)
        for key in attributes:
            if key not in run and key not in prepare:
                raise unknown(f"{name} with {key}={attributes[key]}")
        if op.prepare:
            several = [inputs[i] for i in op.weights if i < len(inputs)]
            inputs = ["" if i in op.weights else value for i, value in enumerate(inputs)]
            inputs[op.weights[0]] = prepared = f"{several[0]} of {outputs[0]}"
            self._add(partial(op.prepare, **prepare), several, [prepared])
        for i, value in enumerate(inputs):
            scalar = value in self.constants and self.constants[value].dim() == 0
            if i in op.numbers or (i in op.scalars and scalar):
                inputs[i] = self._as_numbers(value)
        self._add(partial(op.run, **run) if run else op.run, inputs, outputs)

    def _add(self, function: Callable[..., Any], inputs: list[str], outputs: list[str]) -> None:
        """A step, or what it gives if its inputs are constants."""
        if all(name in self.constants or name in self.numbers for name in inputs):
            known = [self.constants.get(name, self.numbers.get(name)) for name in inputs]
            self.constants.update(zip(outputs, _several(function(*known)), strict=True))
        else:
            self.steps.append(Step(function, inputs, outputs))

    def _as_numbers(self, name: str) -> str:
        """The name of `name` as Python numbers."""
        if name in self.numbers:
            return name
        numbers = f"{name} in numbers"
        if name in self.constants:
            self.numbers[numbers] = self.constants[name].tolist()
        else:
            self.steps.append(Step(Tensor.tolist, [name], [numbers]))
        return numbers

    def _round_trip(self, inputs: list[str]) -> dict[str, Any] | None:
        """Attributes of the RoundTrip that a dequantisation of `inputs` ends, if it does."""
        parameters = [self.constants.get(name) for name in inputs[1:]]
        if len(parameters) < 2 or self._quantised.get(inputs[0], [])[1:] != inputs[1:]:
            return None
        if any(value is None or value.numel() > 1 for value in parameters):
            return None
        assert parameters[1] is not None
        return round_trip_bounds(parameters[1])

    def _attributes(self, node: onnx.NodeProto) -> dict[str, Any]:
        """Those that are not what they are by default, as PyTorch would have them."""
        found = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        domain = _domain(node)
        version = self._versions.get(domain) or self._versions.get("ai.onnx", 0)
        if not domain:
            if version < OLDEST:
                raise unknown(f"{node.op_type} of opset {version}")
            for name, known in onnx.defs.get_schema(node.op_type, version).attributes.items():
                default = known.default_value
                if default.type and onnx.helper.get_attribute_value(default) == found.get(name):
                    del found[name]
        return {name: _attribute(node, name, value) for name, value in found.items()}


def _parse(data: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_from_string(data)
    except Exception as error:  # of protobuf, which need not be imported for it
        raise _no_graph(error) from None
    for node in model.graph.node:
        if _name(node) not in TABLE and _name(node) not in CONVERTED:
            raise unknown(_name(node))
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise _no_graph(error) from None
    return model


def _no_graph(error: Exception) -> BundleError:
    reason = str(error).strip().split("\n")[0]
    return BundleError(f"PyTorch backend: this is no ONNX graph ({reason}); {MEND}")


def _domain(node: onnx.NodeProto) -> str:
    return "" if node.domain == "ai.onnx" else str(node.domain)


def _name(node: onnx.NodeProto) -> str:
    return f"{_domain(node)}.{node.op_type}".removeprefix(".")


def _tensor(tensor: onnx.TensorProto) -> Tensor:
    array = onnx.numpy_helper.to_array(tensor)
    if tensor.data_type in FOUR_BITS:
        return torch.from_numpy(array.astype(np.int8))
    return torch.from_numpy(array.copy())


def _constant(attributes: dict[str, Any]) -> Tensor:
    (kind, value), *_ = attributes.items()
    if kind == "value":
        return value
    if kind not in ("value_int", "value_ints", "value_float", "value_floats"):
        raise unknown(f"Constant with {kind}")
    return torch.tensor(value, dtype=torch.int64 if "int" in kind else torch.float32)


def _attribute(node: onnx.NodeProto, name: str, value: Any) -> Any:
    if name in ("to", "output_dtype"):
        try:
            return torch.from_numpy(np.empty(0, onnx.helper.tensor_dtype_to_np_dtype(value))).dtype
        except (TypeError, KeyError):
            raise unknown(f"{_name(node)} with {name}={value}") from None
    if isinstance(value, onnx.TensorProto):
        return _tensor(value)
    return value.decode() if isinstance(value, bytes) else value


def _accepted(function: Callable[..., Any] | None, attributes: dict[str, Any]) -> dict[str, Any]:
    """Those of `attributes` that are keywords of `function`."""
    try:
        parameters = inspect.signature(function).parameters if function else {}
    except ValueError:  # of PyTorch's own, which take none
        parameters = {}
    return {
        key: value
        for key, value in attributes.items()
        if key in parameters and parameters[key].kind is inspect.Parameter.KEYWORD_ONLY
    }
