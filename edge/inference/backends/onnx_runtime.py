"""ONNX Runtime, the default backend: the smallest to install, also available on ARM."""

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
    """Return the functions that run the encoder and the decoder.

    Raises
    ------
    BundleError
        ONNX Runtime cannot load a graph.
    """

    def run(graph: bytes, threads: int) -> Run:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if not _has_vnni():
            # Without VNNI, the fast int8 products on x86-64 saturate and captions are wrong. This
            # option selects exact products. With VNNI the fast products are exact and take half
            # the time. Other architectures ignore the option.
            options.add_session_config_entry("session.x64quantprecision", "1")
        # Without this option the bytes could select ONNX Runtime's own format, which `load_bundle`
        # cannot check.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        # Idle threads sleep between windows instead of spinning.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

        def call(inputs: Mapping[str, NDArray[np.generic]]) -> Sequence[Floats]:
            return session.run(None, inputs)

        return call

    try:
        encoder = run(bundle.graphs["encoder.onnx"], threads)
        # A decoder step is too short for several threads: waking them takes longer than the step.
        return encoder, run(bundle.graphs["decoder.onnx"], threads=1)
    except Exception as error:  # ONNX Runtime's exceptions share no base class.
        reason = str(error).splitlines()[0]
        raise BundleError(f"model {bundle.name!r}: ONNX Runtime refuses it: {reason}") from None


def _has_vnni() -> bool:
    """Return True if the processor is known to add int8 products exactly; False if in doubt."""
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        flags = ""
    return "AVX512_ICL" in found or "avx_vnni" in flags
