"""Instruments of the General MIDI bank, played by fluidsynth from a bank in a Debian package."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
import soxr

from distill.corpus.cutting import RATE
from distill.corpus.debian import unpack, unpack_program
from distill.corpus.tables import BANK, Instrument
from distill.errors import CorpusError
from edge.inference.features import Floats

BANK_FILE = "usr/share/sounds/sf2/FluidR3_GM.sf2"
PHRASES = 40  # Clips of each preset. More of them would sound alike.
PHRASE_S = 6.0
MINOR, MAJOR = (0, 3, 7, 12), (0, 4, 7, 12)
SCALE = (0, 2, 4, 5, 7, 9, 11, 12)
BEAT_TICKS = 480
# Presets of bank 128 are drum kits, and fluidsynth has them on channel 10 alone.
DRUM_BANK, DRUM_CHANNEL = 128, 9


class Synth:
    """fluidsynth and its bank, unpacked in a cache."""

    def __init__(self, cache: Path, bank_version: str) -> None:
        tree = unpack_program("fluidsynth", cache)
        bank, self.version = unpack(BANK, bank_version, cache)
        self._bank = bank / BANK_FILE
        self._program = tree / "usr/bin/fluidsynth"
        libraries = {str(p.parent) for p in tree.rglob("lib*.so*")}
        self._env = {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(libraries))}
        if not self._bank.is_file():
            raise CorpusError(f"package {BANK}: holds no {BANK_FILE}")

    def play(self, midi: bytes) -> Floats:
        """The sound of a standard MIDI file, mono at `RATE`.

        Raises: CorpusError if fluidsynth fails.
        """
        with TemporaryDirectory() as folder:
            score, sound = Path(folder, "score.mid"), Path(folder, "sound.wav")
            score.write_bytes(midi)
            command = [
                str(self._program),
                "-ni",
                "-q",
                "-o",
                "synth.dynamic-sample-loading=1",  # Reads the samples of one preset, not of all.
                "-g",
                "0.6",
                "-r",
                "44100",
                "-F",
                str(sound),
            ]
            done = subprocess.run(
                [*command, str(self._bank), str(score)],
                env=self._env, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if not sound.is_file():
                reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
                raise CorpusError(f"fluidsynth: cannot play ({reason})")
            audio, rate = soundfile.read(sound, dtype="float32", always_2d=True)
        mono = audio.mean(axis=1)
        peak = np.abs(mono).max(initial=1e-6)
        return soxr.resample(mono * min(1.0, 0.9 / peak), rate, RATE)


def phrase(instrument: Instrument, number: int) -> bytes:
    """Phrase `number` of `instrument` as a standard MIDI file; the same for the same number."""
    rng = np.random.default_rng([instrument.bank, instrument.program, number])
    tempo = rng.uniform(70.0, 150.0)  # beats per minute
    beats = PHRASE_S * tempo / 60.0
    notes = _notes(instrument, beats, rng)
    channel = DRUM_CHANNEL if instrument.bank == DRUM_BANK else 0
    bank = b"" if channel else _event(0, bytes([0xB0, 0, instrument.bank]))
    track = bank + _event(0, bytes([0xC0 | channel, instrument.program]))
    track += _event(0, b"\xff\x51\x03" + int(60e6 / tempo).to_bytes(3, "big"))
    changes = []
    for start, length, key, velocity in notes:
        changes.append((start, 1, bytes([0x90 | channel, key, velocity])))
        changes.append((start + length, 0, bytes([0x80 | channel, key, 0])))
    now = 0
    for beat, _, message in sorted(changes):
        tick = round(beat * BEAT_TICKS)
        track += _event(tick - now, message)
        now = tick
    track += _event(0, b"\xff\x2f\x00")
    header = b"MThd" + (6).to_bytes(4, "big") + b"\0\0\0\1" + BEAT_TICKS.to_bytes(2, "big")
    return header + b"MTrk" + len(track).to_bytes(4, "big") + track


def _notes(
    instrument: Instrument, beats: float, rng: np.random.Generator
) -> list[tuple[float, float, int, int]]:
    """(start in beats, length in beats, key, velocity) of each note of a phrase."""
    low, high = instrument.low_note, instrument.high_note
    out: list[tuple[float, float, int, int]] = []

    def velocity() -> int:
        return int(rng.integers(60, 120))

    at = 0.0
    root = int(rng.integers(low, max(low, high - 12) + 1))
    if instrument.style == "single":
        length = beats * rng.uniform(0.3, 0.8)
        return [(0.0, length, int(rng.integers(low, high + 1)), velocity())]
    while at < beats:
        if instrument.style == "drum":
            step = float(rng.choice([0.25, 0.5, 0.5, 1.0]))
            out.append((at, 0.25, int(rng.integers(low, high + 1)), velocity()))
        elif instrument.style == "chord":
            step = float(rng.choice([1.0, 2.0, 4.0]))
            shift = int(rng.choice([0, 5, 7]))
            shape = MAJOR if rng.random() < 0.6 else MINOR
            keys = [root + shift + k for k in shape if root + shift + k <= max(high, root + k)]
            out += [(at, step * 0.95, min(key, 127), velocity()) for key in keys]
        else:
            slow = instrument.style == "sustained"
            step = float(rng.choice([4.0, 6.0] if slow else [0.5, 0.5, 1.0, 1.0, 2.0]))
            key = root + int(rng.choice(SCALE))
            out.append((at, step * 0.95, min(key, max(high, root)), velocity()))
        at += step
    return out


def _event(ticks: int, message: bytes) -> bytes:
    """A MIDI message after `ticks`, as variable-length bytes."""
    delta = [ticks & 0x7F]
    while ticks := ticks >> 7:
        delta.append(0x80 | (ticks & 0x7F))
    return bytes(reversed(delta)) + message
