"""Simulated scenes: what is said to be true of them is in the audio, and nothing else."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill.captions.caption_parser import Reader
from distill.captions.writer import load_wordings
from distill.cli import main
from distill.corpus.dataset import Clip
from distill.scenes.audibility import audible_times, band_power, level_db
from distill.scenes.mic_augment import DeviceSpec, through_device
from distill.scenes.noise import RATE
from distill.scenes.room_augment import RoomSpec, placed_in_room
from distill.scenes.simulator import SceneSpec, Simulator, counted

PITCH = {"Bark": 400.0, "Cough": 1100.0, "Sneeze": 3000.0, "Rain": 7000.0}
PLAIN = SceneSpec(
    speed_share=0.0,  # a pitch tells which sound it is
    room=RoomSpec(share=0.0),
    device=DeviceSpec(clip_share=0.0, codec_share=0.0, high_hz=(15_000.0, 16_000.0)),
)


def clip_of(label: str) -> Clip:
    kind = "ambience" if label == "Rain" else "event"
    return Clip(Path("none"), label, kind, "test", "CC0", "train")


def tone(label: str, seconds: float) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    return (np.sin(2 * np.pi * PITCH[label] * t) * 9000).astype(np.int16)


def simulator(spec: SceneSpec = PLAIN, seed: int = 0) -> Simulator:
    """Events of 0.5 s at pitches that a filter can tell, and one ambience."""
    labels = sorted(PITCH)
    audio = [tone(label, 4.0 if label == "Rain" else 0.5) for label in labels]
    return Simulator([clip_of(label) for label in labels], audio, spec, seed)


def share_at(audio: np.ndarray, label: str) -> np.ndarray:
    """Share of each 50 ms of `audio` that lies within 8 % of the pitch of `label`."""
    blocks = audio[: len(audio) // 1600 * 1600].reshape(-1, 1600) * np.hanning(1600)
    power = np.abs(np.fft.rfft(blocks, axis=1)) ** 2
    freqs = np.fft.rfftfreq(1600, 1 / RATE)
    near = np.abs(freqs - PITCH[label]) < max(60.0, 0.08 * PITCH[label])
    return power[:, near].sum(axis=1)


def test_a_scene_is_the_same_for_the_same_seed_and_number() -> None:
    one, two, other = (simulator(seed=s).scene(5, 4.0) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.audio, two.audio)
    assert one.truth == two.truth
    assert not np.array_equal(one.audio, other.audio)


def test_what_is_true_of_a_scene_is_heard_and_nothing_else() -> None:
    scenes, kinds, counts = simulator(), set(), set()
    for number in range(150):
        scene = scenes.scene(number, 5.0)
        assert np.isfinite(scene.audio).all()
        assert np.abs(scene.audio).max() <= 1.0
        labels = {e.label for e in scene.truth.events} | {scene.truth.ambience} - {""}
        kinds.add(len(scene.truth.events))
        if not labels <= set(PITCH) or not labels:
            continue  # noise, or quiet
        power = {label: share_at(scene.audio, label) for label in PITCH}
        loudest = max(p.max() for p in power.values())
        for label in PITCH:
            if label not in labels:
                assert power[label].max() < 0.02 * loudest, (number, label)
        for event in scene.truth.events:
            own = power[event.label]
            heard = own > 0.05 * np.percentile(own, 98)
            for start, end in event.times_s:
                inside = heard[int(start / 0.05 + 1) : max(int(end / 0.05 - 1), 1)]
                counted = len(event.times_s) > 1  # else the pauses of a stretch are in it
                assert not counted or inside.size == 0 or inside.mean() > 0.5, (number, event)
            # What starts in the last moment is too short to be told.
            assert not heard[int(event.end_s / 0.05 + 3) : -2].any(), (number, event)
            assert not heard[: max(0, int(event.start_s / 0.05 - 2))].any(), (number, event)
            counts.add(len(event.times_s))
    assert kinds == {0, 1, 2, 3, 4}
    assert counts >= {1, 2, 3}


def test_a_masked_sound_is_not_there_and_a_clear_one_is_timed() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(4 * RATE).astype(np.float32)
    sound = np.zeros(4 * RATE, np.float32)
    sound[RATE : 2 * RATE] = tone("Cough", 1.0) / 9000.0
    own = band_power(sound, RATE)
    assert audible_times(own, band_power(30 * noise, RATE)) == ()
    ((start, end),) = audible_times(own, band_power(0.01 * noise, RATE))
    assert start == pytest.approx(1.0, abs=0.05)
    assert end == pytest.approx(2.0, abs=0.05)
    assert audible_times(0.0 * own, own) == ()


def test_only_sounds_that_a_listener_would_count_are_counted() -> None:
    short = ((0.0, 0.4), (1.0, 1.5))
    assert counted(short) == short
    assert counted(((0.0, 0.3), (1.0, 2.2))) == ((0.0, 2.2),)  # three barks, perhaps, and one
    assert counted(((0.0, 2.0), (3.0, 5.0))) == ((0.0, 5.0),)


def test_distance_takes_the_highs_and_rings_on() -> None:
    click = np.zeros(2 * RATE, np.float32)
    click[RATE // 2] = 1.0
    spec = RoomSpec(share=1.0, decay_s=(0.5, 0.5))
    near, name = placed_in_room(
        np.random.default_rng(0), click, replace(spec, distance_m=(0.5, 0.6))
    )
    far, far_name = placed_in_room(
        np.random.default_rng(0), click, replace(spec, distance_m=(18.0, 20.0))
    )
    assert (name, far_name) == ("near", "far")

    def late(audio: np.ndarray) -> float:
        power = audio**2
        return float(power[RATE // 2 + 640 :].sum() / power.sum())

    def highs(audio: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(audio)) ** 2
        return float(power[len(power) // 2 :].sum() / power.sum())

    assert late(near) < 0.1  # a room that decays by 60 dB in 0.5 s has lost 43 % after 20 ms
    assert 0.45 < late(far) < 0.6
    assert highs(far) < 0.1 * highs(near)


def test_a_device_does_what_its_figures_say() -> None:
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(4 * RATE).astype(np.float32)
    base = replace(PLAIN.device, tilt_db=(0.0, 0.0), level_db=(-20.0, -20.0))

    def through(**changes: object) -> np.ndarray:
        return through_device(np.random.default_rng(0), noise, replace(base, **changes))

    def band_db(audio: np.ndarray, low: float, high: float) -> float:
        power = np.abs(np.fft.rfft(audio)) ** 2
        freqs = np.fft.rfftfreq(len(audio), 1 / RATE)
        return float(10 * np.log10(power[(freqs >= low) & (freqs < high)].mean()))

    plain = through()
    assert 20 * np.log10(np.sqrt((plain**2).mean())) == pytest.approx(-20.0, abs=0.3)
    dull = through(high_hz=(3500.0, 3500.0))
    assert band_db(dull, 8000, 12000) < band_db(plain, 8000, 12000) - 20
    thin = through(low_hz=(200.0, 200.0))
    assert band_db(thin, 20, 60) < band_db(plain, 20, 60) - 10
    tilted = through(tilt_db=(3.0, 3.0))
    rise = band_db(tilted, 3800, 4200) - band_db(tilted, 950, 1050)
    assert rise == pytest.approx(6.0, abs=1.5)
    driven = through(clip_share=1.0, clip_db=(6.0, 6.0))
    assert (np.abs(driven) == 1.0).mean() > 1e-5
    assert not (np.abs(plain) == 1.0).any()
    for codec in DeviceSpec().codecs:
        coded = through(codec_share=1.0, codecs=(codec,))
        assert len(coded) == len(noise)
        assert np.abs(coded).max() <= 1.0
        assert level_db(coded) == pytest.approx(level_db(plain), abs=12.0)
        assert not np.array_equal(coded, plain)


def test_exported_scenes_hold_what_their_index_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "scenes"
    corpus.mkdir()
    with open(corpus / "clips.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "kind", "source", "licence", "split"])
        for label in PITCH:
            soundfile.write(corpus / f"{label}.wav", tone(label, 1.0), RATE)
            kind = "ambience" if label == "Rain" else "event"
            table.writerow([f"{label}.wav", label, kind, "test", "CC0", "train"])
    command = ["scenes", str(out), "--corpus", str(corpus), "--count", "12", "--seconds", "4"]
    assert main(command) == 0
    rows = [json.loads(line) for line in (out / "scenes.jsonl").read_text().splitlines()]
    assert len(rows) == 12
    reader = Reader(load_wordings())
    for row in rows:
        info = soundfile.info(out / row["path"])
        assert info.duration == row["seconds"] == 4.0
        meant = {event["label"] for event in row["events"]} | {row["ambience"]} - {""}
        said = reader.labels(row["caption"])
        assert len(said) == len(meant)
        assert all(any(label in labels for labels in said) for label in meant)
    first = (out / "scenes.jsonl").read_bytes()
    assert main(command) == 0
    assert (out / "scenes.jsonl").read_bytes() == first

    with open(corpus / "clips.csv", "a", encoding="utf-8") as file:
        file.write("Bark.wav,Unicorn,event,test,CC0,train\n")
    capsys.readouterr()
    assert main(command) == 2
    assert "has labels without wordings: Unicorn" in capsys.readouterr().err
