"""A command of the user's that is run as an event opens: to ring a bell, send a message, record."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

from edge.broker import PASSWORD
from edge.config import StreamConfig
from edge.errors import OutputError
from edge.heard import Heard
from edge.ongoing import Ongoing
from edge.track import Event

log = logging.getLogger(__name__)

LIMIT_S = 30.0  # that a command may take; one that hangs would hold up those that follow
STALE_S = 60.0  # after which nobody wants to be told: commands that take long hold up others


@dataclass(frozen=True)
class Call:
    """The event of one run: as environment variables, and as JSON for standard input."""

    environment: Mapping[str, str]
    record: str


class Command:
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
        self._ongoing = Ongoing()
        self._run_at: dict[tuple[str, str], float] = {}  # device and words to the time of the event
        self._failing = False
        if not self._words or shutil.which(self._words[0]) is None:
            raise OutputError(f"{self.name}: there is no such program; check the setting 'command'")

    def of(self, heard: Heard) -> list[Call] | None:
        new = self._ongoing.push(heard)
        return [_call(heard, event) for event in new if self._is_due(heard, event)] or None

    def _is_due(self, heard: Heard, event: Event) -> bool:
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

    def _run(self, call: Call) -> str:
        """What was wrong, if anything."""
        own = {name: value for name, value in os.environ.items() if name != PASSWORD}
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=2,  # standard output is for captions
                env={**own, **call.environment},
                start_new_session=True,
            )
        except OSError as error:
            return f"cannot be run ({error.strerror})"
        try:
            process.communicate(call.record.encode(), timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"took more than {LIMIT_S:.0f} s and was ended"
        code = process.returncode
        return f"ended with exit code {code}" if code else ""

    def reopen(self) -> None:
        """Nothing is open."""

    def close(self) -> None:
        """Nothing is open."""


def _call(heard: Heard, event: Event) -> Call:
    record = heard.record(event)
    environment = {
        "AAC_DEVICE": heard.device,
        "AAC_TEXT": event.text,
        "AAC_CONFIDENCE": f"{event.confidence:.3f}",
        "AAC_START_S": f"{event.start_s:.3f}",
        "AAC_AT": record["at"] or "",
        "AAC_NUMBER": str(event.number),
    }
    return Call(environment, json.dumps(record) + "\n")
