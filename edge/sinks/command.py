"""A command of the user's that is run as an event opens: to ring a bell, send a message, record.

What commands print goes through a pipe and the log, line by line: written to standard error as it
is, it would be wiped away by the live lines of a terminal.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from edge.config import StreamConfig
from edge.errors import OutputError
from edge.sinks.mqtt.broker import PASSWORD
from edge.streaming.active_events import ActiveEvents
from edge.streaming.event_tracker import Event
from edge.streaming.results import WindowResult

log = logging.getLogger(__name__)
printed = logging.getLogger(f"{__name__}.printed")
printed.setLevel(logging.INFO)  # What a command prints is shown at every log level.

LIMIT_S = 30.0  # that a command may take; one that hangs would hold up those that follow
TERM_S = 0.1  # From SIGTERM to SIGKILL.
KILL_S = 1.0  # From SIGKILL to giving up.
READ_S = 0.1  # At the end, for what commands have printed.
LINE = 4096  # Characters of a printed line; longer ones are split.
STALE_S = 60.0  # after which nobody wants to be told: commands that take long hold up others


@dataclass(frozen=True)
class Call:
    """The event of one run: as environment variables, and as JSON for standard input."""

    environment: Mapping[str, str]
    record: str


class CommandSink:
    """Runs `config.command` for each event, one at a time, in the order of the events.

    For one and the same sound of a device it is not run again for `command_every_s`.
    """

    def __init__(self, config: StreamConfig) -> None:
        """Raises: OutputError if there is no such program."""
        command = config.command or ""
        # Split as a shell would, but run by none: what a model says can be no command.
        try:
            self._words = shlex.split(command) if isinstance(command, str) else command
        except ValueError as error:  # a quotation mark that is not closed
            raise OutputError(f"command {command!r}: cannot be read ({error})") from None
        self._every_s = config.command_every_s
        self.name = f"command {shlex.join(self._words)!r}"
        self._ongoing = ActiveEvents()
        self._run_at: dict[tuple[str, str], float] = {}  # device and words to the time of the event
        self._failing = False
        if not self._words or shutil.which(self._words[0]) is None:
            raise OutputError(f"{self.name}: there is no such program; check the setting 'command'")
        self._using = threading.Lock()  # Guards what follows.
        self._cancelled = False
        self._process: subprocess.Popen[bytes] | None = None  # That runs now.
        reader, self._writer = os.pipe()
        self._reader = threading.Thread(target=_log_lines, args=(reader,), daemon=True)
        self._reader.start()

    def of(self, heard: WindowResult) -> list[Call] | None:
        new = self._ongoing.push(heard)
        return [_call(heard, event) for event in new if self._is_due(heard, event)] or None

    def _is_due(self, heard: WindowResult, event: Event) -> bool:
        device, now_s = heard.device, event.end_s
        # In a year there are many words: those that are long ago are not needed any more.
        self._run_at = {
            (where, words): at_s
            for (where, words), at_s in self._run_at.items()
            if where != device or now_s - at_s < self._every_s
        }
        if (device, event.text) in self._run_at:
            return False
        self._run_at[device, event.text] = now_s
        return heard.began is None or time.time() - heard.began.timestamp() - now_s < STALE_S

    def end(self) -> None:
        return None

    def put(self, piece: list[Call]) -> None:
        """Run it. What fails is told, and not tried again: it may have done its work."""
        for call in piece:
            problem = self._run(call)
            if problem and not self._failing:
                log.warning("%s: %s", self.name, problem)
            self._failing = bool(problem)

    def configure(self, config: StreamConfig) -> None:
        """Use another `command_every_s`."""
        self._every_s = config.command_every_s

    def _run(self, call: Call) -> str:
        """What was wrong, if anything."""
        own = {name: value for name, value in os.environ.items() if name != PASSWORD}
        with self._using:
            if self._cancelled:
                return ""
            try:
                process = self._process = subprocess.Popen(
                    self._words,
                    stdin=subprocess.PIPE,
                    stdout=self._writer,  # standard output is for captions
                    stderr=self._writer,
                    env={**own, **call.environment},
                    start_new_session=True,
                )
            except OSError as error:
                return f"cannot be run ({error.strerror})"
        try:
            process.communicate(call.record.encode(), timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            return f"took more than {LIMIT_S:.0f} s and was ended"
        finally:
            _end(process)
        code = process.returncode
        return f"ended with exit code {code}" if code and not self._cancelled else ""

    def cancel(self) -> None:
        """End the command that runs, and run no other."""
        with self._using:
            self._cancelled = True
            process = self._process
        if process is not None and _end(process):
            log.info("%s: still ran at the end of the run and was ended", self.name)

    def close(self) -> None:
        """Run no more commands; show what they have printed."""
        self.cancel()
        with self._using:
            writer, self._writer = self._writer, -1
        if writer != -1:
            os.close(writer)
            self._reader.join(READ_S)  # What a command left in the background may go on.


def _end(process: subprocess.Popen[bytes]) -> bool:
    """End `process` and its group, if it still runs; return whether it did."""
    if process.poll() is not None:
        return False
    _signal(process, "SIGTERM")
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(TERM_S)
    _signal(process, "SIGKILL")
    with contextlib.suppress(subprocess.TimeoutExpired):  # The kernel itself may hold it.
        process.wait(KILL_S)
    return True


def _signal(process: subprocess.Popen[bytes], name: str) -> None:
    with contextlib.suppress(OSError):  # It has ended meanwhile.
        if hasattr(os, "killpg"):
            os.killpg(process.pid, getattr(signal, name))
        else:  # Windows has no process groups of this kind.
            process.kill()


def _log_lines(reader: int) -> None:
    """Log what is printed into the pipe `reader`, until nobody can print any more."""
    with open(reader, encoding="utf-8", errors="replace") as lines:
        while line := lines.readline(LINE):
            printed.info("%s", line.rstrip("\n"))


def _call(heard: WindowResult, event: Event) -> Call:
    record = heard.record(event)
    environment = {
        "AAC_DEVICE": _variable(heard.device),
        "AAC_TEXT": _variable(event.text),
        "AAC_CONFIDENCE": f"{event.confidence:.3f}",
        "AAC_START_S": f"{event.start_s:.3f}",
        "AAC_AT": record["at"] or "",
        "AAC_NUMBER": str(event.number),
    }
    return Call(environment, json.dumps(record) + "\n")


def _variable(text: str) -> str:
    """Return `text` as an environment variable can hold it: UTF-8 in any locale, without NUL."""
    try:
        encoded = text.encode("utf-8", "surrogateescape")  # A file's name need not be UTF-8.
    except UnicodeEncodeError:
        encoded = text.encode("utf-8", "backslashreplace")
    return os.fsdecode(encoded.replace(b"\0", b""))
