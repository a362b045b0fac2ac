"""The files of clips. A clip is written whole or not at all, and old clips are removed.

A clip is two files, NAME.flac and NAME.json, which never replace an existing file. Their names
follow a pattern. Other files in the folder are never touched.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import re
import time
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from edge.inference.features import Floats

LONGEST_PART = 60  # Maximum length of a device label or event text in a file name, in bytes.
STALE_S = 86_400.0  # Age in seconds after which a partial file counts as left by a dead process.

# The parts of a clip's name: UTC date and time, or seconds since the start of a recording; device
# label; event number; event text; and a further number if the name was taken.
NAME = r"(?:\d{8}T\d{6}Z|\d{6,}\.\ds)_[^_]+_\d+_[^_]+(?:_\d+)?"
CLIP = re.compile(rf"({NAME})\.(?:flac|json)")
PART = re.compile(rf"\.{NAME}(?:\.json)?\.part")

# Replacements of Latin letters that Unicode does not decompose into a letter and an accent.
LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ı": "i"}
)


@dataclass(frozen=True)
class Clip:
    """A clip to write.

    Attributes
    ----------
    path
        Path of the two files without their suffixes.
    samples
        Mono samples, shape (n_samples,); full scale is 1.
    about
        The contents of the JSON file: the event in the clip.
    """

    path: Path
    samples: Floats
    about: dict[str, object]


def clip_name(when: str, device: str, number: int, text: str) -> str:
    """Return the name of a clip, without a suffix.

    A long device label is cut at its beginning, because labels that are paths differ at their end.

    Parameters
    ----------
    when
        UTC date and time, or seconds since the start of a recording.
    device
        Label of the device.
    number
        Number of the event.
    text
        Text of the event.
    """
    return f"{when}_{_slug(device, from_end=True)}_{number}_{_slug(text)}"


def write_clip(clip: Clip, rate: int) -> None:
    """Write both files of `clip` or none. If the name is taken, add a number to it.

    Parameters
    ----------
    clip
        The clip to write.
    rate
        Sample rate in Hz.

    Raises
    ------
    OSError, soundfile.LibsndfileError
        If the clip cannot be written.
    """
    encoded = io.BytesIO()
    soundfile.write(encoded, np.clip(clip.samples, -1.0, 1.0), rate, format="FLAC")
    about = (json.dumps(clip.about) + "\n").encode()
    file, part, path = _reserve_name(clip.path)
    about_path = path.with_name(f"{path.name}.json")
    about_part = path.with_name(f".{path.name}.json.part")
    done = False
    try:
        _write_synced(file, encoded.getvalue())
        about_part.unlink(missing_ok=True)  # Left by a killed process.
        _write_synced(os.open(about_part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), about)
        about_part.replace(about_path)
        part.replace(path.with_name(f"{path.name}.flac"))
        done = True
    finally:
        for left in (part, about_part, *(() if done else (about_path,))):
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)


def remove_old_clips(folder: Path, most_bytes: float | None, longest_s: float | None) -> None:
    """Remove clips that are too old or exceed the maximum size, and stale partial files.

    The oldest clips are removed first. The newest clip is never removed because of the size.

    Parameters
    ----------
    folder
        The folder of the clips.
    most_bytes
        Maximum total size of all clips in bytes; None means no limit.
    longest_s
        Maximum age of a clip in seconds; None means no limit.

    Raises
    ------
    OSError
        If the folder cannot be read or a file cannot be removed.
    """
    now = time.time()
    sizes: dict[str, int] = defaultdict(int)
    ages_s: dict[str, float] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            clip = CLIP.fullmatch(entry.name)
            if not (clip or PART.fullmatch(entry.name)) or not entry.is_file(follow_symlinks=False):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # Another program has removed the file.
                continue
            age_s = now - status.st_mtime
            if clip:
                sizes[clip[1]] += status.st_size
                ages_s[clip[1]] = min(age_s, ages_s.get(clip[1], age_s))
            elif age_s > STALE_S:
                Path(entry.path).unlink(missing_ok=True)
    total = sum(sizes.values())
    oldest_first = sorted(ages_s, key=lambda name: (-ages_s[name], name))
    for name in oldest_first:
        too_old = longest_s is not None and ages_s[name] > longest_s
        too_much = most_bytes is not None and total > most_bytes and name != oldest_first[-1]
        if not (too_old or too_much):
            break
        for suffix in ("flac", "json"):
            (folder / f"{name}.{suffix}").unlink(missing_ok=True)
        total -= sizes[name]


def _reserve_name(wanted: Path) -> tuple[int, Path, Path]:
    """Reserve a free name for a clip by creating its partial file.

    Only the process that created the partial file writes to the path of the clip.

    Returns
    -------
    tuple of int, Path and Path
        Descriptor of the empty partial file, its path, and the path of the clip without a suffix.
    """
    for number in itertools.count(1):
        path = wanted if number == 1 else wanted.with_name(f"{wanted.name}_{number}")
        part = path.with_name(f".{path.name}.part")
        try:
            file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        if not any(os.path.lexists(f"{path}.{suffix}") for suffix in ("flac", "json")):
            return file, part, path
        os.close(file)
        part.unlink()
    raise AssertionError("there is always a next number")


def _write_synced(file: int, data: bytes) -> None:
    """Write `data` to the descriptor `file`, flush it to the disk and close it."""
    with os.fdopen(file, "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(file)  # Otherwise a power cut could leave an empty clip.


def _slug(text: str, from_end: bool = False) -> str:
    """Return `text` as part of a file name.

    Letters are lower-case. Latin letters lose their accents; letters of other scripts stay. Other
    characters become hyphens. A long text is cut at its end, or at its beginning if `from_end`.
    """
    decomposed = unicodedata.normalize("NFKD", text.lower().translate(LETTERS)).lower()
    plain = unicodedata.normalize("NFC", re.sub(r"(?<=[a-z])[\u0300-\u036f]+", "", decomposed))
    letters = [c if unicodedata.category(c)[0] in "LNM" else "-" for c in plain]
    joined = re.sub("-+", "-", "".join(letters)).strip("-").encode()
    cut = joined[-LONGEST_PART:] if from_end else joined[:LONGEST_PART]
    return cut.decode(errors="ignore").strip("-") or "x"
