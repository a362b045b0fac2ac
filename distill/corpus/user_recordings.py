"""Recordings that a user has, with or without captions: read from several layouts, and checked."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import soundfile

from distill.captions.english import normalise
from distill.errors import CorpusError
from edge.process.stderr import quiet_stderr

LAYOUTS = ("csv", "clotho", "audiocaps", "audio")
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
SHORTEST_S = 0.5  # what is not longer holds no sound that a caption could be about
CLOTHO_SPLITS = {"train": "development", "val": "validation", "test": "evaluation"}
CLOTHO_CAPTIONS = tuple(f"caption_{number}" for number in range(1, 6))
ALIASES = {"dev": "train", "eval": "test"} | {name: key for key, name in CLOTHO_SPLITS.items()}


@dataclass(frozen=True)
class Recording:
    """A recording and its captions as written; none where only the audio is there."""

    path: Path
    captions: tuple[str, ...]
    source: str  # the layout, or the folder's name for csv and audio


@dataclass(frozen=True)
class Found:
    """What can be used, by its header and if longer than 0.5 s, in order; and what cannot."""

    recordings: list[Recording]
    faults: list[str]  # one line each: the file, or the line of the table, and what is wrong


@dataclass(frozen=True)
class _Table:
    path: Path
    name: tuple[str, ...]  # the columns that name a recording
    captions: tuple[str, ...]  # the columns that hold its captions
    audio: Path  # the folder of the recordings
    files: dict[str, str] = field(default_factory=dict)  # by name, where they are not the name


def find_recordings(folder: Path, layout: str, split: str = "train") -> Found:
    """The recordings of `split`: "train", "val" or "test"; all, where the folder knows no splits.

    Raises: CorpusError if the layout, the split, a table or a column is not there, or nothing is.
    """
    if layout not in LAYOUTS:
        raise CorpusError(f"{layout}: is not a layout; give one of {', '.join(LAYOUTS)}")
    if not os.path.isdir(folder):
        raise CorpusError(f"{folder}: no such folder; give the one that holds the recordings")
    split = ALIASES.get(split.lower(), split.lower())
    faults: list[str] = []
    if layout == "audio":
        found = {p: list[str]() for p in sorted(folder.rglob("*")) if p.suffix.lower() in SUFFIXES}
    else:
        found = _captions(_table(folder, layout, split), split, faults)
    checked = {path: _fault(path) for path in found}
    faults += [f"{path}: {fault}" for path, fault in checked.items() if fault]
    faults = [" ".join(fault.splitlines()) for fault in faults]
    source = folder.resolve().name if layout in ("csv", "audio") else layout
    good = [Recording(path, tuple(found[path]), source) for path in found if not checked[path]]
    if not good:
        why = f"mend them, first {faults[0]}" if faults else "add some, or ask for another split"
        raise CorpusError(f"{folder}: no recording of split {split} can be used; {why}")
    return Found(good, faults)


def _table(folder: Path, layout: str, split: str) -> _Table:
    """The table of `split` in `folder`, which is the root of the layout or its own folder."""
    if layout == "csv":
        return _Table(folder / "captions.csv", ("path",), ("caption",), folder)
    if split not in CLOTHO_SPLITS:
        raise CorpusError(f"{split}: is not a split of {layout}; give train, val or test")
    if layout == "clotho":
        inner = f"clotho_csv_files/clotho_captions_{CLOTHO_SPLITS[split]}.csv"
        path = max(folder.glob(f"CLOTHO_v*/{inner}"), default=folder / inner)  # the newest version
        audio = path.parents[1] / "clotho_audio_files" / CLOTHO_SPLITS[split]
        return _Table(path, ("file_name",), CLOTHO_CAPTIONS, audio)
    home = folder / "AUDIOCAPS" if os.path.isdir(folder / "AUDIOCAPS") else folder
    ends = [f"{split}{kind}.csv" for kind in ("_fixed", "")]  # corrected captions are better
    paths = [home / at / end for at in ("csv_files_v1", "", "csv_files_v2") for end in ends]
    path = next((path for path in paths if os.path.isfile(path)), paths[1])
    audio = max(home.glob(f"audio_*Hz/{split}"), default=home / "audio_32000Hz" / split)
    files = {p.stem: p.name for p in audio.glob("*") if p.suffix.lower() in SUFFIXES}
    return _Table(path, ("youtube_id", "start_time"), ("caption",), audio, files)


def _captions(table: _Table, split: str, faults: list[str]) -> dict[Path, list[str]]:
    """The captions of each recording, however its path is spelt."""
    found: dict[Path, list[str]] = {}
    for where, row in _rows(table, split, faults):
        name = os.path.normpath("_".join(row[column] for column in table.name))
        path = table.audio / table.files.get(name, name)
        if name.split(os.sep)[0] in (os.curdir, os.pardir):
            faults.append(f"{where}: {name} is no file in the folder; give its absolute path")
        elif kept := [" ".join(row[c].split()) for c in table.captions if normalise(row[c])]:
            found.setdefault(path, []).extend(kept)
        faults += [f"{where}: empty {c} of {path}" for c in table.captions if not normalise(row[c])]
    return found


def _rows(table: _Table, split: str, faults: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row of `split` and where it stands; one with too many cells is a fault instead."""
    where, columns = str(table.path), (*table.name, *table.captions)
    try:
        with open(table.path, newline="", encoding="utf-8-sig") as file:
            # Strict: a quote that is never closed would else swallow the rows after it.
            reader = csv.DictReader(file, restval="", strict=table.path.name == "captions.csv")
            reader.fieldnames = names = [name.strip() for name in reader.fieldnames or ()]
            if lacking := [column for column in columns if column not in names]:
                raise CorpusError(f"{where}: no column {lacking[0]}; write {','.join(columns)}")
            for row in reader:
                where = f"{table.path}, line {reader.line_num}"
                named = row.get("split", split).strip().lower()
                if None in row or not named:
                    faults.append(f"{where}: too many cells, or no split; quote what has commas")
                elif ALIASES.get(named, named) == split:
                    yield where, row
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise CorpusError(f"{where}: {error}; give CSV in UTF-8, closing quotes below") from None


def _fault(path: Path) -> str:
    """Why `path` cannot be used, as far as its header tells; empty if it can."""
    if not os.path.isfile(path):
        return "no such file"
    try:
        with quiet_stderr():  # the MP3 decoder tells the terminal what it thinks of a file
            seconds = soundfile.info(path).duration
    except (soundfile.LibsndfileError, OSError, TypeError, ValueError):
        return "cannot be read as audio; WAV, FLAC, OGG and MP3 are known"
    return f"lasts {seconds:.2f} s; more than 0.5 s are needed" if seconds <= SHORTEST_S else ""
