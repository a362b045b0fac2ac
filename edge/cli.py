"""`aac-stream`: writes what a microphone hears."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edge.audio.devices import list_inputs
from edge.config import BACKENDS, LOG_LEVELS, StreamConfig, build_config
from edge.log import log_to_stderr, set_level
from edge.paths import expand_user
from edge.process.program import Parser, run_program
from edge.process.standard_streams import open_standard_streams
from edge.service.runner import Runner
from edge.service.signals import Signals
from edge.sinks.targets import FORMATS
from edge.web.address import DEFAULT

log = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command line; what is not given there comes from --config or the defaults."""
    p = Parser(
        prog="aac-stream",
        description="Listens, and writes what it hears as sentences. Audio stays on this machine.",
        argument_default=argparse.SUPPRESS,
    )
    p.add_argument("--version", action="version", version=f"aac-stream {version('aac-stream')}")
    p.add_argument("--list-devices", action="store_true", help="show the microphones and end")
    p.add_argument("--config", metavar="FILE", help="read settings from a YAML file")
    p.add_argument(
        "--device",
        metavar="WHAT",
        action="append",
        help="'mic' (the default microphone), an index, part of a name, an audio file "
        "(WAV, FLAC, OGG, MP3), a URL or a video (with ffmpeg), or '-' for "
        "standard input (raw 16-bit PCM or WAV; others with ffmpeg); given again, several at once; "
        "kitchen=3 calls device 3 the kitchen",
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
        "--novelty-db",
        type=float,
        metavar="DB",
        help="what stands out less from what has long gone on is background; 0: all is heard (17)",
    )
    p.add_argument(
        "--min-confidence", type=float, metavar="P", help="say nothing that is less sure (0.42)"
    )
    p.add_argument(
        "--format",
        choices=FORMATS,
        help="lines of text, JSON lines of windows (jsonl) or of events, or subtitles (text)",
    )
    p.add_argument(
        "--output", metavar="FILE", help="append captions to a file (standard output, '-')"
    )
    p.add_argument(
        "--also",
        metavar="FORMAT:FILE",
        action="append",
        help="and to this one, as srt:party.srt; given again, to several at once",
    )
    p.add_argument(
        "--mqtt", metavar="URL", help="send events to a broker, as mqtt://user@host:1883/prefix"
    )
    p.add_argument(
        "--mqtt-password-file", metavar="FILE", help="its first line is the password there"
    )
    p.add_argument(
        "--command",
        metavar="COMMAND",
        help="run it as a sound begins, with AAC_TEXT, AAC_DEVICE, AAC_CONFIDENCE, AAC_AT and more "
        "in its environment",
    )
    p.add_argument(
        "--command-every-s", type=float, metavar="S", help="not again for the same sound (10)"
    )
    p.add_argument(
        "--keep-audio",
        type=float,
        metavar="S",
        help="keep the audio of each event, with so many seconds before and after it (none)",
    )
    p.add_argument("--keep-folder", metavar="FOLDER", help="where that is kept (kept)")
    p.add_argument(
        "--keep-max-mb",
        type=float,
        metavar="MB",
        help="remove the oldest clips there when they take more (no limit)",
    )
    p.add_argument(
        "--keep-days", type=float, metavar="DAYS", help="remove older clips there (no limit)"
    )
    p.add_argument(
        "--serve",
        nargs="?",
        const=DEFAULT,
        metavar="HOST:PORT",
        help=f"show a live page ({DEFAULT}); elsewhere than on this machine it asks for a token",
    )
    p.add_argument("--bundle", metavar="FOLDER", help="use another model")
    p.add_argument("--backend", choices=BACKENDS, help="what the model runs on (onnx)")
    p.add_argument("--threads", type=int, metavar="N", help="threads for the model (1)")
    p.add_argument(
        "--beam", type=int, metavar="N", help="beams of the search (what the model's bundle says)"
    )
    p.add_argument("--log-level", choices=LOG_LEVELS, help="tell of this and what is graver (info)")
    return p


def show_devices() -> None:
    """Print each microphone on a line."""
    devices = list_inputs()
    for d in devices:
        mark = "*" if d.default else " "
        print(f"{mark} {d.index:3d}  {d.name}  ({d.api}, {d.channels} ch, {d.rate} Hz)")
    print("* is the default, 'mic'" if devices else "no input devices")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `aac-stream` with the arguments `argv`; return the exit code."""
    open_standard_streams()
    with log_to_stderr():
        return run_program(lambda: _run(argv), _report, "--log-level debug")


def _run(argv: Sequence[str] | None) -> int:
    given: dict[str, Any] = vars(parser().parse_args(argv))
    set_level(given.get("log_level", "info"))
    try:
        if given.pop("list_devices", False):
            show_devices()
            return 0
        path = given.pop("config", None)
        if path is not None:
            path = Path(expand_user("config", path))
        if len(given.get("device", [])) == 1:
            (given["device"],) = given["device"]

        def settings() -> StreamConfig:
            return build_config(path, given)

        with Signals() as signals:
            config = settings()
            set_level(config.log_level)
            return Runner(config, settings, signals).run()
    except KeyboardInterrupt:
        return 0


def _report(message: str, error: BaseException | None) -> None:
    log.error("%s", message, exc_info=error)
