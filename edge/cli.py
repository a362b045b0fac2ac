"""Command line of `aac-stream`, which captions the sounds that a microphone records."""

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
    """Return the parser; options that are not given come from --config or the defaults."""
    p = Parser(
        prog="aac-stream",
        description="Caption sounds as sentences. Audio stays on this machine.",
        argument_default=argparse.SUPPRESS,
    )
    p.add_argument("--version", action="version", version=f"aac-stream {version('aac-stream')}")
    p.add_argument("--list-devices", action="store_true", help="List the microphones and exit.")
    p.add_argument("--config", metavar="FILE", help="Read settings from a YAML file.")
    p.add_argument(
        "--device",
        metavar="DEVICE",
        action="append",
        help="Audio source: 'mic' (the default microphone), an index, part of a name, an audio "
        "file (WAV, FLAC, OGG, MP3), a URL or a video (with ffmpeg), or '-' for standard input "
        "(raw 16-bit PCM or WAV; other formats with ffmpeg). Repeat the option to listen to "
        "several. kitchen=3 labels device 3 'kitchen' (default: mic).",
    )
    p.add_argument(
        "--channel", type=int, metavar="N", help="Channel, from 1 (default: the mix of all)."
    )
    p.add_argument(
        "--rate", type=int, metavar="HZ", help="Sample rate of raw PCM on '-' (default: 16000)."
    )
    p.add_argument(
        "--channels", type=int, metavar="N", help="Channels of raw PCM on '-' (default: 1)."
    )
    p.add_argument(
        "--fast",
        action="store_true",
        help="Read a file or '-' as fast as possible, without skipping anything.",
    )
    p.add_argument(
        "--window-s", type=float, metavar="S", help="Window length in seconds (default: 5)."
    )
    p.add_argument(
        "--hop-s", type=float, metavar="S", help="Seconds between two windows (default: 1)."
    )
    p.add_argument(
        "--quiet-db",
        type=float,
        metavar="DB",
        help="Windows below this level, in dB re full scale, are quiet (default: -65).",
    )
    p.add_argument(
        "--novelty-db",
        type=float,
        metavar="DB",
        help="Minimum level in dB above the background; 0 captions steady sounds too "
        "(default: 17).",
    )
    p.add_argument(
        "--min-confidence",
        type=float,
        metavar="P",
        help="Minimum confidence of a caption, from 0 to 1 (default: 0.42).",
    )
    p.add_argument(
        "--format",
        choices=FORMATS,
        help="Output format: lines of text, a JSON line per window (jsonl) or per change of an "
        "event (events), or subtitles (srt, vtt) (default: text).",
    )
    p.add_argument(
        "--output",
        metavar="FILE",
        help="Append captions to a file (default: standard output, '-').",
    )
    p.add_argument(
        "--also",
        metavar="FORMAT:FILE",
        action="append",
        help="Write to another file as well, for example srt:party.srt. Repeat the option for "
        "several.",
    )
    p.add_argument(
        "--mqtt",
        metavar="URL",
        help="Send events to an MQTT broker, for example mqtt://user@host:1883/prefix.",
    )
    p.add_argument(
        "--mqtt-password-file",
        metavar="FILE",
        help="File with the password for the MQTT broker in its first line.",
    )
    p.add_argument(
        "--command",
        metavar="COMMAND",
        help="Run a command when an event begins, with AAC_TEXT, AAC_DEVICE, AAC_CONFIDENCE, "
        "AAC_AT and more in its environment.",
    )
    p.add_argument(
        "--command-every-s",
        type=float,
        metavar="S",
        help="Minimum seconds between two runs for the same sound (default: 10).",
    )
    p.add_argument(
        "--keep-audio",
        type=float,
        metavar="S",
        help="Save the audio of each event, with S seconds before and after it (default: 0, "
        "saves nothing).",
    )
    p.add_argument(
        "--keep-folder", metavar="FOLDER", help="Folder of the saved audio (default: kept)."
    )
    p.add_argument(
        "--keep-max-mb",
        type=float,
        metavar="MB",
        help="Remove the oldest clips if they take more than this (default: no limit).",
    )
    p.add_argument(
        "--keep-days",
        type=float,
        metavar="DAYS",
        help="Remove clips that are older than this (default: no limit).",
    )
    p.add_argument(
        "--serve",
        nargs="?",
        const=DEFAULT,
        metavar="HOST:PORT",
        help=f"Serve a live web page (at {DEFAULT} if no address is given). An address other than "
        "this machine's own requires a token.",
    )
    p.add_argument("--bundle", metavar="FOLDER", help="Model bundle (default: the built-in one).")
    p.add_argument("--backend", choices=BACKENDS, help="Inference runtime (default: onnx).")
    p.add_argument("--threads", type=int, metavar="N", help="Threads of the model (default: 1).")
    p.add_argument(
        "--beam", type=int, metavar="N", help="Beam width (default: the value in the bundle)."
    )
    p.add_argument(
        "--log-level", choices=LOG_LEVELS, help="Minimum level of log messages (default: info)."
    )
    return p


def show_devices() -> None:
    """Print one line for each microphone."""
    devices = list_inputs()
    for d in devices:
        mark = "*" if d.default else " "
        print(f"{mark} {d.index:3d}  {d.name}  ({d.api}, {d.channels} ch, {d.rate} Hz)")
    print("* is the default, 'mic'" if devices else "no input devices")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `aac-stream`.

    Parameters
    ----------
    argv
        Arguments without the name of the program; those of the process if None.

    Returns
    -------
    int
        The exit code: 0 on success, 2 after an error.
    """
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
