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
from distill.scenes.annotations import Event, Truth, activity
from distill.scenes.audibility import a_weights, audible_times, band_power, level_db
from distill.scenes.codec_augment import CODECS, Codec, coded
from distill.scenes.mic_augment import DeviceSpec, draw_device, through_device
from distill.scenes.noise import RATE, microphone_wind
from distill.scenes.room_augment import Room, RoomSpec, draw_room, placed_in_room
from distill.scenes.scene_spec import SceneSpec, load_series
from distill.scenes.simulator import Simulator, counted
from distill.scenes.stems import StemMaker

PITCH = {"Bark": 400.0, "Cough": 1100.0, "Sneeze": 3000.0, "Rain": 7000.0}
PLAIN = SceneSpec(
    speed_share=0.0,  # a pitch tells which sound it is
    wind_share=0.0,
    microphone_wind_share=0.0,
    room=RoomSpec(share=0.0, far_field_share=0.0),
    device=DeviceSpec(
        clip_share=0.0,
        codec_share=0.0,
        agc_share=0.0,
        dropout_share=0.0,
        high_hz=(15_000.0, 16_000.0),
    ),
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


def test_rumble_under_a_sound_does_not_make_it_longer() -> None:
    """A recording of a step holds the rumble of its room, which is louder than the room's tone."""
    t = np.arange(RATE) / RATE
    step = np.exp(-30.0 * t) * np.sin(2 * np.pi * 1000.0 * t) + 0.008 * np.sin(2 * np.pi * 90.0 * t)
    clip = (9000.0 * step).astype(np.int16)
    spec = replace(PLAIN, quiet_share=0.0, noise_share=0.0, clean_share=1.0, again=(1.0, 0, 0, 0))
    scenes = Simulator([clip_of("Cough")], [clip], spec, 0)
    lasts = [
        end - start
        for number in range(20)
        for event in scenes.scene(number, 4.0).truth.events
        for start, end in event.active_s
    ]
    assert max(lasts) < 0.35


def test_a_weighting_is_that_of_the_standard() -> None:
    freqs = np.array([100.0, 1000.0, 10_000.0])
    np.testing.assert_allclose(10 * np.log10(a_weights(freqs)), [-19.1, 0.0, -2.5], atol=0.1)


def test_distance_takes_the_highs_and_rings_on() -> None:
    click = np.zeros(2 * RATE, np.float32)
    click[RATE // 2] = 1.0
    spec, room = RoomSpec(share=1.0), Room(critical_m=2.0, decay_s=0.5, far_field=False)

    def at(metres: float, room: Room = room) -> tuple[np.ndarray, str]:
        its = replace(spec, distance_m=(metres, 1.01 * metres))
        return placed_in_room(np.random.default_rng(0), click, its, room)

    (near, name), (far, far_name) = at(0.55), at(19.0)
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
    outdoors, _ = at(19.0, replace(room, critical_m=np.inf))
    assert late(outdoors) < 1e-6
    assert highs(outdoors) < 0.1 * highs(near)


def test_in_the_far_field_every_sound_is_far_from_the_microphone() -> None:
    click = np.ones(RATE, np.float32)
    spec, room = RoomSpec(share=0.0), Room(2.0, 0.5, far_field=True)
    rng = np.random.default_rng(0)
    names = {placed_in_room(rng, click, spec, room)[1] for _ in range(40)}
    assert names == {"", "far"}
    rooms = [draw_room(rng, RoomSpec()) for _ in range(1000)]
    assert np.mean([r.far_field for r in rooms]) == pytest.approx(0.1, abs=0.03)
    assert np.mean([np.isinf(r.critical_m) for r in rooms]) == pytest.approx(0.2, abs=0.04)


def sent(audio: np.ndarray, spec: DeviceSpec, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return through_device(rng, audio, spec, draw_device(rng, spec))


def test_a_device_does_what_its_figures_say() -> None:
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(4 * RATE).astype(np.float32)
    base = replace(PLAIN.device, tilt_db=(0.0, 0.0), level_db=(-20.0, -20.0))

    def through(**changes: object) -> np.ndarray:
        return sent(noise, replace(base, **changes))

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
    driven = through(clip_share=1.0, clip_db=(6.0, 6.0), soft_share=0.0)
    assert (np.abs(driven) == 1.0).mean() > 1e-5
    assert not (np.abs(plain) == 1.0).any()
    rounded = through(clip_share=1.0, clip_db=(6.0, 6.0), soft_share=1.0)
    assert 0.9 < np.abs(rounded).max() < 1.0
    gaps = through(dropout_share=1.0)
    assert (gaps == 0.0).sum() >= 0.01 * RATE
    assert (plain == 0.0).sum() < 10
    for codec in DeviceSpec().codecs:
        coded = through(codec_share=1.0, codecs=(codec,))
        assert len(coded) == len(noise)
        assert np.abs(coded).max() <= 1.0
        assert level_db(coded) == pytest.approx(level_db(plain), abs=12.0)
        assert not np.array_equal(coded, plain)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: f"{codec.subtype} {codec.rate}")
def test_a_codec_moves_nothing_in_time(codec: Codec) -> None:
    """The times of a scene stay true."""
    rng = np.random.default_rng(0)
    audio = np.zeros(2 * RATE, np.float32)
    t = np.arange(RATE // 5) / RATE
    audio[RATE : RATE + len(t)] = 0.5 * np.sin(2 * np.pi * (400 + 3000 * t) * t)
    after = coded(rng, audio, codec)
    lags = np.arange(-RATE // 50, RATE // 50, 8)
    near = slice(RATE - 800, RATE + 8000)
    alike = [float(np.dot(audio[near], np.roll(after, -lag)[near])) for lag in lags]
    assert abs(lags[int(np.argmax(alike))]) < 0.005 * RATE


def test_a_gain_control_makes_quiet_and_loud_parts_alike() -> None:
    rng = np.random.default_rng(0)
    audio = 0.01 * rng.standard_normal(6 * RATE).astype(np.float32)
    audio[2 * RATE : 3 * RATE] *= 30.0
    spec = replace(PLAIN.device, tilt_db=(0.0, 0.0), level_db=(-25.0, -25.0), noise_db=None)
    controlled = replace(
        spec, agc_share=1.0, agc_strength=(0.8, 0.8), agc_release_s=(0.3, 0.3)
    )  # fmt: skip

    def range_db(out: np.ndarray) -> float:
        loud, quiet = out[int(2.2 * RATE) : int(2.8 * RATE)], out[5 * RATE :]
        return float(10.0 * np.log10((loud**2).mean() / (quiet**2).mean()))

    assert range_db(sent(audio, spec)) == pytest.approx(29.5, abs=1.0)
    assert range_db(sent(audio, controlled)) < 12.0


def test_what_a_microphone_does_not_let_through_is_not_there() -> None:
    """A cricket at 7 kHz is not heard through a telephone at 8 kHz."""
    gsm = next(codec for codec in CODECS if codec.subtype == "GSM610")
    device = replace(PLAIN.device, codec_share=1.0, codecs=(gsm,))
    spec = replace(PLAIN, device=device, quiet_share=0.0, noise_share=0.0)
    scenes = simulator(spec)
    truths = [scenes.scene(number, 4.0).truth for number in range(40)]
    labels = [{event.label for event in truth.events} | {truth.ambience} for truth in truths]
    assert not any("Rain" in found for found in labels)  # its pitch is 7 kHz
    assert any("Sneeze" in found for found in labels)  # 3 kHz


def test_wind_on_the_microphone_is_low_and_gusty_and_is_called_wind() -> None:
    noise = microphone_wind(np.random.default_rng(0), 10 * RATE)
    assert np.sqrt((noise**2).mean()) == pytest.approx(1.0, abs=1e-3)
    power = np.abs(np.fft.rfft(noise)) ** 2
    freqs = np.fft.rfftfreq(len(noise), 1 / RATE)
    assert power[freqs < 500].sum() > 0.9 * power.sum()
    seconds = np.sqrt((noise.reshape(-1, RATE // 2) ** 2).mean(axis=1))
    assert seconds.max() > 1.5 * seconds.min()
    only = simulator(replace(PLAIN, quiet_share=0.0, noise_share=0.0, wind_share=1.0))
    assert only.scene(0, 4.0).truth == Truth(4.0, (), "Wind", ((0.0, 4.0),))
    under = replace(
        PLAIN, quiet_share=0.0, noise_share=0.0, ambience_share=0.0, microphone_wind_share=1.0
    )  # fmt: skip
    scenes = simulator(under)
    ambiences = {scenes.scene(number, 4.0).truth.ambience for number in range(10)}
    assert {"Wind"} <= ambiences <= {"Wind", ""}


# --- stems


def maker(
    kind: str = "event", label: str = "Cough", seconds: float = 0.2, **spec: object
) -> StemMaker:
    clip = Clip(Path("none"), label, kind, "test", "CC0", "train")
    its = replace(PLAIN, **spec)
    return StemMaker([clip], [tone("Cough", seconds)], its)


def bursts(stem: np.ndarray) -> list[tuple[float, float]]:
    return list(audible_times(band_power(stem, RATE), 0.0 * band_power(stem, RATE)))


def test_single_strokes_of_steps_and_keys_are_heard_as_a_series() -> None:
    steps = maker(label="Walk, footsteps", series={"Walk, footsteps": (0.8, 0.8)})
    for seed in range(20):
        found = bursts(steps.event(np.random.default_rng(seed), "Walk, footsteps", 6 * RATE))
        assert len(found) >= 2
        gaps = np.diff([start for start, _ in found])
        assert gaps.min() > 0.65
        assert gaps.max() < 0.95
    coughs = maker(again=(1.0, 0.0, 0.0, 0.0))
    assert len(bursts(coughs.event(np.random.default_rng(0), "Cough", 6 * RATE))) == 1
    long = maker(label="Walk, footsteps", seconds=2.0, again=(1.0, 0.0, 0.0, 0.0))
    assert len(bursts(long.event(np.random.default_rng(0), "Walk, footsteps", 6 * RATE))) == 1


def test_a_series_counts_as_one_but_its_strokes_are_timed() -> None:
    spec = replace(PLAIN, series={"Cough": (1.2, 1.2)}, quiet_share=0.0, noise_share=0.0)
    scenes, found = simulator(spec), 0
    for number in range(30):
        for event in scenes.scene(number, 5.0).truth.events:
            if event.label == "Cough" and len(event.active_s) > 1:
                assert len(event.times_s) == 1
                assert event.start_s == event.active_s[0][0]
                assert event.end_s == event.active_s[-1][1]
                found += 1
    assert found > 3


def test_an_ambience_begins_and_ends_within_the_scene_with_fades() -> None:
    lasting = maker("ambience", begin_share=1.0, end_share=1.0, fade_s=(0.2, 0.2), seconds=1.0)
    for seed in range(10):
        stem = lasting.event(np.random.default_rng(seed), "Cough", 4 * RATE)
        ((start, end),) = bursts(stem)
        assert 0.0 < start < 2.1
        assert 1.9 < end < 4.0
        at = int(start * RATE)
        first, later = stem[at : at + RATE // 20], stem[at + RATE // 4 : at + RATE // 2]
        assert np.abs(first).max() < 0.5 * np.abs(later).max()
    whole = maker("ambience", begin_share=0.0, end_share=0.0, seconds=1.0)
    assert bursts(whole.event(np.random.default_rng(0), "Cough", 4 * RATE)) == [(0.0, 4.0)]


def test_a_cut_of_a_clip_holds_its_loud_part() -> None:
    """Else the silence around a slam would be turned up and called a slam."""
    clip = clip_of("Cough")
    audio = np.zeros(10 * RATE, np.int16)
    audio[:] = np.random.default_rng(0).normal(0.0, 20.0, len(audio))
    audio[7 * RATE : 7 * RATE + RATE // 5] += tone("Cough", 0.2)
    stems = StemMaker([clip], [audio], replace(PLAIN, again=(1.0, 0.0, 0.0, 0.0)))
    for seed in range(40):
        for size in (RATE, 4 * RATE, 12 * RATE):
            assert np.abs(stems.event(np.random.default_rng(seed), "Cough", size)).max() > 0.2


def test_a_looped_clip_has_no_click_at_its_seam() -> None:
    clip = Clip(Path("none"), "Rain", "ambience", "test", "CC0", "train")
    ramp = np.linspace(0, 20_000, 3 * RATE).astype(np.int16)  # Its end is far from its start.
    loop = StemMaker([clip], [ramp], PLAIN).background(np.random.default_rng(0), "Rain", 8 * RATE)
    assert np.abs(np.diff(loop)).max() < 0.05


def test_short_clips_are_no_background() -> None:
    assert maker("ambience", seconds=1.0).backgrounds == {}
    assert maker("ambience", seconds=2.5).backgrounds == {"Cough": [0]}
    assert maker("event", seconds=2.5).backgrounds == {}


# --- annotations


def test_activity_is_the_share_of_each_frame_in_which_a_label_is_audible() -> None:
    bark = Event("Bark", ((0.1, 0.9),), 0.0, active_s=((0.1, 0.3), (0.8, 0.9)))
    truth = Truth(1.0, (bark,), "Rain", ((0.0, 0.5),))
    np.testing.assert_allclose(
        activity(truth, ["Rain", "Bark", "Meow"], 0.25),
        [[1.0, 0.6, 0.0], [1.0, 0.2, 0.0], [0.0, 0.0, 0.0], [0.0, 0.4, 0.0]],
        atol=1e-6,
    )
    assert activity(truth, [], 0.3).shape == (4, 0)


def test_every_series_is_of_a_label_that_is_not_counted() -> None:
    wordings, series = load_wordings(), load_series()
    assert {"Walk, footsteps", "Knock", "Drip", "Chop", "Computer keyboard"} <= set(series)
    assert set(series) <= set(wordings.labels)
    assert not set(series) & wordings.countable
    assert all(0.0 < low < high for low, high in series.values())


def test_labels_that_the_corpus_says_are_thin_are_captioned_by_their_group() -> None:
    clips = [replace(clip_of(label), level="group") for label in ("Bark", "Cough")]
    made = Simulator(clips, [tone("Bark", 0.5), tone("Cough", 0.5)], PLAIN, 0)
    assert made.general == {"Bark", "Cough"}
    assert simulator().general == set()


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
