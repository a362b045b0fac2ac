"""The command sink: runs a command of the user when an event opens.

The command may ring a bell, send a message or record, for example. Its output goes through a pipe
into the log, line by line. If it went to standard error directly, the live lines of a terminal
would erase it.
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
printed.setLevel(logging.INFO)  # Command output is logged at every log level.

LIMIT_S = 30.0  # Time limit of a command in seconds, so that a hanging command ends.
TERM_S = 0.1  # Seconds from SIGTERM to SIGKILL.
KILL_S = 1.0  # Seconds from SIGKILL to giving up.
READ_S = 0.1  # Seconds at the end of a run to read the output of commands.
LINE = 4096  # Maximum length of an output line in characters; longer lines are split.
STALE_S = 60.0  # Age in seconds after which an event that waited for other commands is skipped.


@dataclass(frozen=True)
class Call:
    """The event of one command run, as environment variables and as JSON for standard input."""

    environment: Mapping[str, str]
    record: str


class CommandSink:
    """Runs `config.command` for each new event, one at a time, in the order of the events.

    If a device has an event with the same text again within `config.command_every_s` seconds, the
    command does not run for it.

    Raises
    ------
    OutputError
        If the command cannot be parsed or the program does not exist.
    """

    def __init__(self, config: StreamConfig) -> None:
        command = config.command or ""
        # Split the command as a shell does, but run it without a shell, so that no text of a model
        # can become a command.
        try:
            self._words = shlex.split(command) if isinstance(command, str) else command
        except ValueError as error:  # A quotation mark is not closed.
            raise OutputError(f"command {command!r}: cannot be read ({error})") from None
        self._every_s = config.command_every_s
        self.name = f"command {shlex.join(self._words)!r}"
        self._active = ActiveEvents()
        # Stream time of the last run in seconds, by device and event text.
        self._run_at: dict[tuple[str, str], float] = {}
        self._failing = False
        if not self._words or shutil.which(self._words[0]) is None:
            raise OutputError(f"{self.name}: there is no such program; check the setting 'command'")
        self._lock = threading.Lock()  # Guards `_cancelled`, `_process` and `_writer`.
        self._cancelled = False
        self._process: subprocess.Popen[bytes] | None = None  # The newest command process.
        reader, self._writer = os.pipe()
        self._reader = threading.Thread(target=_log_lines, args=(reader,), daemon=True)
        self._reader.start()

    def of(self, result: WindowResult) -> list[Call] | None:
        """Return a call for each due event that opens in `result`, or None if there is none."""
        new = self._active.push(result)
        return [_call(result, event) for event in new if self._is_due(result, event)] or None

    def _is_due(self, result: WindowResult, event: Event) -> bool:
        device, now_s = result.device, event.end_s
        # Forget old runs of this device, so that the table does not grow without limit.
        self._run_at = {
            (where, words): at_s
            for (where, words), at_s in self._run_at.items()
            if where != device or now_s - at_s < self._every_s
        }
        if (device, event.text) in self._run_at:
            return False
        self._run_at[device, event.text] = now_s
        return result.began is None or time.time() - result.began.timestamp() - now_s < STALE_S

    def end(self) -> None:
        """Add nothing: the end of a run starts no command."""

    def put(self, piece: list[Call]) -> None:
        """Run the command for each call.

        A failed command is logged and not run again, because it may have done its work.
        """
        for call in piece:
            problem = self._run(call)
            if problem and not self._failing:
                log.warning("%s: %s", self.name, problem)
            self._failing = bool(problem)

    def configure(self, config: StreamConfig) -> None:
        """Apply the setting `command_every_s`."""
        self._every_s = config.command_every_s

    def _run(self, call: Call) -> str:
        """Run the command and return a description of the problem, or "" if there was none."""
        inherited = {name: value for name, value in os.environ.items() if name != PASSWORD}
        with self._lock:
            if self._cancelled:
                return ""
            try:
                process = self._process = subprocess.Popen(
                    self._words,
                    stdin=subprocess.PIPE,
                    stdout=self._writer,  # Standard output is for captions.
                    stderr=self._writer,
                    env={**inherited, **call.environment},
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
        """End the running command, and run no further commands."""
        with self._lock:
            self._cancelled = True
            process = self._process
        if process is not None and _end(process):
            log.info("%s: still ran at the end of the run and was ended", self.name)

    def close(self) -> None:
        """Run no further commands, and log the rest of their output."""
        self.cancel()
        with self._lock:
            writer, self._writer = self._writer, -1
        if writer != -1:
            os.close(writer)
            self._reader.join(READ_S)  # A background process may keep the pipe open.


def _end(process: subprocess.Popen[bytes]) -> bool:
    """End `process` and its process group; return True if the process was still running."""
    if process.poll() is not None:
        return False
    _signal(process, "SIGTERM")
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(TERM_S)
    _signal(process, "SIGKILL")
    with contextlib.suppress(subprocess.TimeoutExpired):  # A system call may block it.
        process.wait(KILL_S)
    return True


def _signal(process: subprocess.Popen[bytes], name: str) -> None:
    with contextlib.suppress(OSError):  # The process has ended meanwhile.
        if hasattr(os, "killpg"):
            os.killpg(process.pid, getattr(signal, name))
        else:  # Windows has no process groups of this kind.
            process.kill()


def _log_lines(reader: int) -> None:
    """Log each line from the pipe `reader` until all writers have closed the pipe."""
    with open(reader, encoding="utf-8", errors="replace") as lines:
        while line := lines.readline(LINE):
            printed.info("%s", line.rstrip("\n"))


def _call(result: WindowResult, event: Event) -> Call:
    record = result.record(event)
    environment = {
        "AAC_DEVICE": _variable(result.device),
        "AAC_TEXT": _variable(event.text),
        "AAC_CONFIDENCE": f"{event.confidence:.3f}",
        "AAC_START_S": f"{event.start_s:.3f}",
        "AAC_AT": record["at"] or "",
        "AAC_NUMBER": str(event.number),
    }
    return Call(environment, json.dumps(record) + "\n")


def _variable(text: str) -> str:
    """Return `text` as a valid environment variable: UTF-8 in any locale, without NUL."""
    try:
        encoded = text.encode("utf-8", "surrogateescape")  # File names may be invalid UTF-8.
    except UnicodeEncodeError:
        encoded = text.encode("utf-8", "backslashreplace")
    return os.fsdecode(encoded.replace(b"\0", b""))
