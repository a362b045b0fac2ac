"""ONNX Runtime, the default: the smallest to install, and on ARM too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge.errors import BundleError
from edge.inference.backends import Run
from edge.inference.bundle import Bundle
from edge.inference.features import Floats


def load(bundle: Bundle, threads: int) -> tuple[Run, Run]:
    """Encoder and decoder."""

    def run(graph: bytes, threads: int) -> Run:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if not _has_vnni():
            # On x86-64 its quick int8 products saturate then, and captions are wrong; not these.
            # With VNNI the quick ones are right, and take half the time. Others ignore it.
            options.add_session_config_entry("session.x64quantprecision", "1")
        # Else the bytes could ask for ONNX Runtime's own format, which `load_bundle` cannot check.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        # Between windows a device should sleep, not spin.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

        def call(inputs: Mapping[str, NDArray[np.generic]]) -> Sequence[Floats]:
            return session.run(None, inputs)

        return call

    try:
        encoder = run(bundle.graphs["encoder.onnx"], threads)
        # A step is too little work to share: waking other threads takes longer.
        return encoder, run(bundle.graphs["decoder.onnx"], threads=1)
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        reason = str(error).splitlines()[0]
        raise BundleError(f"model {bundle.name!r}: ONNX Runtime refuses it: {reason}") from None


def _has_vnni() -> bool:
    """Whether the processor is known to add up int8 products exactly; if in doubt it is not."""
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        flags = ""
    return "AVX512_ICL" in found or "avx_vnni" in flags
