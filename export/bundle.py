"""Writes model bundles: the two graphs of each variant, and a manifest."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from distill.models.checkpoint import Checkpoint
from edge.audio.clip import read_clip
from edge.errors import BundleError
from edge.inference.bundle import GRAPHS, load_bundle
from edge.inference.features import Floats, LogMel
from export.compare import Difference, difference
from export.graphs import export_decoder, export_encoder
from export.manifest import write_manifest
from export.variants import VARIANTS


def write_bundles(
    checkpoint: Checkpoint, names: Sequence[str], out: Path
) -> Iterator[tuple[Path, Difference]]:
    """Write the variants `names` to folders of these names in `out`; yields each when it is done.

    A folder is complete or absent: a bundle that differs more from PyTorch than its arithmetic
    explains, or for which the disk has no room, is not left behind.

    Raises: BundleError; AudioError if a recording for calibration cannot be read.
    """
    windows = _windows(checkpoint, [name for name in names if VARIANTS[name].calibrated])
    with _written(out), TemporaryDirectory(dir=_made(out), prefix=".graphs-") as folder:
        encoder, decoder = (Path(folder) / name for name in GRAPHS["onnx"])
        export_encoder(checkpoint.student, checkpoint.features.n_mels, encoder)
        export_decoder(checkpoint.student, decoder)
        for name in names:
            variant = VARIANTS[name]
            part = Path(folder) / name
            part.mkdir()
            targets = [part / file for file in GRAPHS[variant.format] if not file.endswith(".bin")]
            variant.encoder(encoder, targets[0], windows)
            variant.decoder(decoder, targets[1], windows)
            write_manifest(checkpoint, name, variant.format, part)
            found = difference(checkpoint, load_bundle(part), windows)
            _replace(part, out / name)
            yield out / name, found


def _windows(checkpoint: Checkpoint, calibrated: Sequence[str]) -> list[Floats]:
    """Features of the recordings that `checkpoint` names; all must be there if one needs them."""
    there = [path for path in checkpoint.calibration if path.exists()]
    if calibrated and (not there or len(there) < len(checkpoint.calibration)):
        missing = next((str(p) for p in checkpoint.calibration if not p.exists()), "the checkpoint")
        raise BundleError(
            f"{missing}: no recordings to measure the ranges of {calibrated[0]} on; give a folder "
            "with --clips, or call aac-export in the folder of the corpus"
        )
    log_mel = LogMel(checkpoint.features)
    return [log_mel(read_clip(path, checkpoint.features.sample_rate)) for path in there]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _replace(new: Path, folder: Path) -> None:
    """Put `new` where `folder` is; the old one goes only once it has made room."""
    old = new.with_name(new.name + ".old")
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _written(out: Path) -> Iterator[None]:
    """Failures to write, as one line."""
    try:
        yield
    except OSError as error:
        raise BundleError(f"{out}: cannot be written ({error.strerror or error})") from None
