"""The files of clips: written whole or not at all, in place of no other file, and removed with age.

A clip is two files, NAME.flac and NAME.json. Their names tell them from all other files in the
folder, which are never touched.
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

LONGEST_PART = 60  # bytes of a device's or an event's words in a name
STALE_S = 86_400.0  # after which a file that was being written no longer is

# Time of day, or seconds since the start of a recording; device; number and words of the event; a
# number where the name was taken.
NAME = r"(?:\d{8}T\d{6}Z|\d{6,}\.\ds)_[^_]+_\d+_[^_]+(?:_\d+)?"
CLIP = re.compile(rf"({NAME})\.(?:flac|json)")
PART = re.compile(rf"\.{NAME}(?:\.json)?\.part")

# Latin letters that Unicode does not decompose.
LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ı": "i"}
)


@dataclass(frozen=True)
class Clip:
    """Audio to be written, and what was heard in it."""

    path: Path  # without a suffix
    samples: Floats  # mono, full scale is 1
    about: dict[str, object]


def clip_name(when: str, device: str, number: int, text: str) -> str:
    """Return the name of a clip, without a suffix.

    The end of a device's label tells it from others if the label is a path.
    """
    return f"{when}_{_slug(device, from_end=True)}_{number}_{_slug(text)}"


def write_clip(clip: Clip, rate: int) -> None:
    """Write `clip`, sampled at `rate` Hz, or nothing; a number is added to a name that is taken.

    Raises: OSError, soundfile.LibsndfileError.
    """
    encoded = io.BytesIO()
    soundfile.write(encoded, np.clip(clip.samples, -1.0, 1.0), rate, format="FLAC")
    about = (json.dumps(clip.about) + "\n").encode()
    file, part, path = _reserved(clip.path)
    about_path = path.with_name(f"{path.name}.json")
    about_part = path.with_name(f".{path.name}.json.part")
    done = False
    try:
        _fill(file, encoded.getvalue())
        about_part.unlink(missing_ok=True)  # of a run that was killed
        _fill(os.open(about_part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), about)
        about_part.replace(about_path)
        part.replace(path.with_name(f"{path.name}.flac"))
        done = True
    finally:
        for left in (part, about_part, *(() if done else (about_path,))):
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)


def remove_old_clips(folder: Path, most_bytes: float | None, longest_s: float | None) -> None:
    """Remove the oldest clips until no more than `most_bytes` and none older than `longest_s`.

    The newest clip is not removed for its size. Also remove what an interrupted write left.

    Raises: OSError.
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
            except FileNotFoundError:  # another program has removed it
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


def _reserved(wanted: Path) -> tuple[int, Path, Path]:
    """Return an empty file that is open, its path, and a clip's path that nothing else gets.

    Only who has created the file at the first path writes to the second one.
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


def _fill(file: int, data: bytes) -> None:
    """Write `data` to the disk and close `file`."""
    with os.fdopen(file, "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(file)  # else a power cut could leave an empty file under the final name


def _slug(text: str, from_end: bool = False) -> str:
    """Return `text` as a part of a file's name: Latin letters without accents, others as they are.

    A long text is cut at its end, or at its beginning if `from_end`.
    """
    apart = unicodedata.normalize("NFKD", text.lower().translate(LETTERS)).lower()
    plain = unicodedata.normalize("NFC", re.sub(r"(?<=[a-z])[\u0300-\u036f]+", "", apart))
    letters = [c if unicodedata.category(c)[0] in "LNM" else "-" for c in plain]
    joined = re.sub("-+", "-", "".join(letters)).strip("-").encode()
    cut = joined[-LONGEST_PART:] if from_end else joined[:LONGEST_PART]
    return cut.decode(errors="ignore").strip("-") or "x"
