"""`aac-distill keep`: a checkpoint without what only its own run needs, small enough to keep."""

from __future__ import annotations

from pathlib import Path

import torch

from distill.errors import CorpusError
from distill.models.checkpoint import load_checkpoint

RUN_ONLY = ("student", "projections", "optimiser", "schedule")


def keep(checkpoint: Path, corpus: Path, out: Path) -> None:
    """Write the averaged student of `checkpoint` to `out`, in half precision.

    A student can start from it, and be exported; the clips that int8 is calibrated with are named
    within `corpus`, so export it in that folder.

    Raises: BundleError if it is no checkpoint; CorpusError if `out` cannot be written.
    """
    load_checkpoint(checkpoint)
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    kept = {key: value for key, value in state.items() if key not in RUN_ONLY}
    kept["averaged"] = {
        name: value.half() if value.dtype.is_floating_point else value
        for name, value in state["averaged"].items()
    }
    root = corpus.resolve()
    kept["calibration"] = [
        str(path.relative_to(root))
        for path in (Path(clip).resolve() for clip in state["calibration"])
        if path.is_relative_to(root)
    ]
    try:
        torch.save(kept, out.with_suffix(".part"))
        out.with_suffix(".part").replace(out)
    except (OSError, RuntimeError) as error:
        raise CorpusError(f"{out}: cannot be written ({error})") from None
