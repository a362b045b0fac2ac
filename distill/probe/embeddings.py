"""Embeddings of every window of a corpus, kept beside it so that a second run is quick."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from distill.errors import CorpusError
from distill.probe.clips import ProbeClip
from distill.probe.windows import VERSION, Window, clip_windows
from distill.scenes.noise import RATE
from distill.teachers.tagger import Tagger
from edge.audio.clip import read_clip
from edge.inference.features import Floats

# From (batch, samples at 32 kHz) to embeddings (batch, width).
Embed = Callable[[Floats], Floats]

CHUNK = 64  # clips that are read ahead
BATCH = 16  # windows
SAVE_EVERY = 1000  # clips; an interrupted run goes on from there


@dataclass(frozen=True)
class Windows:
    """The windows of a list of clips, in its order."""

    clip: NDArray[np.int64]  # (windows,): place of the clip in the list
    heard: NDArray[np.bool_]  # (windows,): as the loop hears it; the others are for training only
    embedding: Floats  # (windows, width)


def teacher_embedding(tagger: Tagger) -> Embed:
    """Return the clip embedding of the tagger as a function of audio."""
    tagger.features.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def embed(audio: Floats) -> Floats:
        with torch.inference_mode():
            mel = tagger.log_mel(torch.from_numpy(audio))
            maps = tagger.features(mel.contiguous(memory_format=torch.channels_last))
            return maps.mean((2, 3)).numpy()

    return embed


def embed_clips(
    clips: list[ProbeClip], embed: Embed, store: Path, progress: Callable[[int], object]
) -> Windows:
    """Return the windows of `clips`; what `store` (.npz) holds already is not computed again.

    Parameters
    ----------
    embed
        From audio (batch, samples at 32 kHz) to embeddings (batch, width). Another function needs
        another `store`.
    store
        File that keeps the embeddings as float16; it is written again where clips were missing.
    progress
        Called with the number of clips that were added.

    Raises
    ------
    CorpusError
        If `store` cannot be written.
    AudioError
        If a clip cannot be read.
    """
    known = _read(store)
    keys = [_key(clip) for clip in clips]
    todo = [(key, clip) for key, clip in zip(keys, clips, strict=True) if key not in known]
    progress(len(clips) - len(todo))
    computed = _computed(todo, embed)
    while some := list(islice(computed, SAVE_EVERY)):
        for key, heard, rows in some:
            known[key] = heard, rows
        progress(len(some))
        _write(store, known)
    parts = [known[key] for key in keys]
    if not parts:
        raise CorpusError(f"{store.parent}: the corpus has no clips")
    return Windows(
        np.repeat(np.arange(len(parts)), [len(heard) for heard, _ in parts]),
        np.concatenate([heard for heard, _ in parts]),
        np.concatenate([rows for _, rows in parts]).astype(np.float32),
    )


Part = tuple[NDArray[np.bool_], NDArray[np.float16]]  # of a clip: `heard`, embeddings


def _computed(
    todo: list[tuple[str, ProbeClip]], embed: Embed
) -> Iterator[tuple[str, NDArray[np.bool_], NDArray[np.float16]]]:
    def windows(item: tuple[str, ProbeClip]) -> list[Window]:
        _, clip = item
        return clip_windows(read_clip(clip.file, RATE), clip.path)

    with ThreadPoolExecutor(1) as reader:  # reads the next clips while these are computed
        chunks = [todo[i : i + CHUNK] for i in range(0, len(todo), CHUNK)]
        ahead = reader.submit(lambda c: [windows(i) for i in c], chunks[0]) if chunks else None
        for number, chunk in enumerate(chunks):
            assert ahead is not None
            cut = ahead.result()
            if number + 1 < len(chunks):
                ahead = reader.submit(lambda c: [windows(i) for i in c], chunks[number + 1])
            flat = np.stack([window.audio for own in cut for window in own])
            rows = [embed(flat[i : i + BATCH]) for i in range(0, len(flat), BATCH)]
            embeddings = np.concatenate(rows).astype(np.float16)
            start = 0
            for (key, _), own in zip(chunk, cut, strict=True):
                stop = start + len(own)
                yield key, np.array([w.heard for w in own]), embeddings[start:stop]
                start = stop


def _key(clip: ProbeClip) -> str:
    """Return a name that changes with the clip's file, as a corpus may be built again."""
    try:
        return f"{VERSION}:{clip.path}:{os.stat(clip.file).st_size}"
    except OSError as error:
        raise CorpusError(f"{clip.file}: cannot be read ({error.strerror})") from None


def _read(store: Path) -> dict[str, Part]:
    if not store.is_file():
        return {}
    try:
        with np.load(store) as kept:
            ends = np.cumsum(kept["windows"])[:-1]
            heard, rows = np.split(kept["heard"], ends), np.split(kept["embedding"], ends)
            return dict(zip(kept["key"].tolist(), zip(heard, rows, strict=True), strict=True))
    except (OSError, ValueError, KeyError, EOFError):
        return {}  # A damaged store is computed again.


def _write(store: Path, known: dict[str, Part]) -> None:
    part = store.with_suffix(".part")
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            np.savez(
                file,
                key=np.array([*known]),
                windows=np.array([len(heard) for heard, _ in known.values()]),
                heard=np.concatenate([heard for heard, _ in known.values()]),
                embedding=np.concatenate([rows for _, rows in known.values()]),
            )
        part.replace(store)
    except OSError as error:
        raise CorpusError(f"{store}: cannot be written ({error.strerror})") from None
