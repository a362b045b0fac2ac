"""`aac-stream`: writes what a microphone hears."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edge.captioner import Captioner, load_captioner
from edge.config import BACKENDS, FORMATS, StreamConfig, build_config
from edge.errors import AacStreamError
from edge.inputs import list_inputs
from edge.loop import Loop
from edge.opening import open_source
from edge.patient import PatientSource
from edge.sinks import Sink
from edge.sources import Source


def parser() -> argparse.ArgumentParser:
    """The command line; what is not given there comes from --config or the defaults."""
    p = argparse.ArgumentParser(
        prog="aac-stream",
        description="Listens, and writes what it hears as sentences. Audio stays on this machine.",
        argument_default=argparse.SUPPRESS,
    )
    p.add_argument("--version", action="version", version=f"aac-stream {version('aac-stream')}")
    p.add_argument("--list-devices", action="store_true", help="show the microphones and end")
    p.add_argument("--config", type=Path, metavar="FILE", help="read settings from a YAML file")
    p.add_argument(
        "--device",
        metavar="WHAT",
        help="'mic' (the default microphone), an index, part of a name, an audio file "
        "(WAV, FLAC, OGG, MP3), a URL or a video (with ffmpeg), or '-' for raw 16-bit PCM on "
        "standard input",
    )
    p.add_argument(
        "--channel", type=int, metavar="N", help="listen to one, from 1 (the mix of all)"
    )
    p.add_argument("--rate", type=int, metavar="HZ", help="sample rate of '-' (16000)")
    p.add_argument("--channels", type=int, metavar="N", help="channels of '-' (1)")
    p.add_argument(
        "--fast", action="store_true", help="a file or '-': as fast as possible, skip nothing"
    )
    p.add_argument("--window-s", type=float, metavar="S", help="seconds a caption is about (5)")
    p.add_argument("--hop-s", type=float, metavar="S", help="seconds between captions (1)")
    p.add_argument(
        "--quiet-db", type=float, metavar="DB", help="below this level it is quiet (-65)"
    )
    p.add_argument(
        "--min-confidence", type=float, metavar="P", help="say nothing that is less sure (0.3)"
    )
    p.add_argument(
        "--format",
        choices=FORMATS,
        help="lines of text, JSON lines of windows (jsonl) or of events, or subtitles (text)",
    )
    p.add_argument("--output", metavar="FILE", help="append captions to a file")
    p.add_argument("--bundle", metavar="FOLDER", help="use another model")
    p.add_argument("--backend", choices=BACKENDS, help="what the model runs on (onnx)")
    p.add_argument("--threads", type=int, metavar="N", help="threads for the model (1)")
    p.add_argument(
        "--beam", type=int, metavar="N", help="beams of the search (what the model's bundle says)"
    )
    return p


def show_devices() -> None:
    """Print each microphone on a line."""
    devices = list_inputs()
    for d in devices:
        mark = "*" if d.default else " "
        print(f"{mark} {d.index:3d}  {d.name}  ({d.api}, {d.channels} ch, {d.rate} Hz)")
    print("* is the default, 'mic'" if devices else "no input devices")


def run(config: StreamConfig, captioner: Captioner, source: Source) -> None:
    """Caption `source` until it ends or the user ends it; always says what was missed."""
    sink = Sink(config)
    loop = Loop(source, captioner, config)
    say(f"listening to {source.name} at {source.rate} Hz; Ctrl-C ends")
    if source.rate < captioner.bundle.features.sample_rate:
        say(f"sounds above {source.rate / 2000:g} kHz are missing there; captions may be less true")
    told = False
    try:
        for caption in loop.captions():
            sink.write(caption)
            if loop.stats.skipped_windows and not told:
                say("the model is late: windows are skipped; a larger --hop-s helps")
                told = True
    except KeyboardInterrupt:
        pass
    finally:
        sink.close()
        report(loop, source)


def report(loop: Loop, source: Source) -> None:
    """One line about the run on standard error, and one for each thing that went wrong."""
    stats = loop.stats
    say(f"{stats.audio_s:.1f} s heard, {stats.windows} windows, real-time factor {stats.rtf:.3f}")
    if stats.skipped_windows:
        say(f"{stats.skipped_windows} windows skipped to keep up")
    overflows = source.overflows if isinstance(source, PatientSource) else 0
    if stats.lost_s or overflows:
        say(f"{stats.lost_s:.1f} s of audio lost, {overflows} overflows of the device")


def say(line: str) -> None:
    print(f"aac-stream: {line}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    given: dict[str, Any] = vars(parser().parse_args(argv))
    try:
        if given.pop("list_devices", False):
            show_devices()
            return 0
        config = build_config(given.pop("config", None), given)
        source = open_source(config)
        try:
            bundle = Path(config.bundle) if config.bundle else None
            captioner = load_captioner(bundle, config.threads, config.backend, config.beam)
            run(config, captioner, source)
        finally:
            source.close()
    except AacStreamError as error:
        say(str(error))
        return 2
    except BrokenPipeError:  # the reader of our output went away, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        pass
    return 0
