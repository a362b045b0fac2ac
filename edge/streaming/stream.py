"""The captioner from Python: an iterator, or a callback."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from edge.config import StreamConfig
from edge.service.runner import load_model
from edge.streaming.device_manager import DeviceManager
from edge.streaming.results import WindowResult

log = logging.getLogger(__name__)


class Stream(Iterator[WindowResult], AbstractContextManager["Stream"]):
    """What is heard, window by window, until the devices end or `close` is called.

    Also a context manager, which closes it. Threads may share it, and any may close it.
    """

    def __init__(self, config: StreamConfig) -> None:
        self._hub = DeviceManager(config, load_model(config))
        self._hub.start()

    def __next__(self) -> WindowResult:
        """Waits for the next window.

        Raises: AudioError or DeviceError as the last device ends by one.
        """
        for heard in self._hub.heard():
            if heard is not None:
                return heard
        raise StopIteration

    def close(self) -> None:
        """Give the devices back; what waits in `next`, in another thread, ends.

        May be called again, and from any thread.
        """
        self._hub.close()

    @property
    def unread_windows(self) -> int:
        """Windows that were dropped because nobody took them for an hour."""
        return self._hub.unread_windows

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:  # of a loop that was left, or never begun
        if hasattr(self, "_hub"):
            self.close()


def stream(device: str | list[str] = "mic", **settings: Any) -> Stream:
    """Listen to `device`, for example `for heard in stream("mic"): ...`.

    `settings` are those of `StreamConfig` that are about listening: window_s, hop_s, bundle, ...

    Raises: ConfigError, DeviceError, AudioError or BundleError before anything is heard.
    """
    return Stream(StreamConfig(device=device, **settings))


class Listener(AbstractContextManager["Listener"]):
    """Calls `callback` with each window, from a thread of its own; also a context manager."""

    def __init__(self, callback: Callable[[WindowResult], None], stream: Stream) -> None:
        self._callback, self._stream = callback, stream
        self._told = False
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until the devices have ended."""
        self._thread.join()

    def close(self) -> None:
        """End; no call follows once this returns, unless the callback itself called it.

        May be called again, and from any thread.
        """
        self._stream.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            for heard in self._stream:
                self._call(heard)
        except Exception as error:  # of the last device
            log.error("%s", error)
        finally:  # A callback may raise SystemExit: then nobody listens any more.
            self._stream.close()

    def _call(self, heard: WindowResult) -> None:
        try:
            self._callback(heard)
            self._told = False
        except Exception:  # the caller's; what is heard next is still wanted
            if not self._told:
                log.exception("the callback failed; it is called again with what follows")
            self._told = True


def listen(
    callback: Callable[[WindowResult], None], device: str | list[str] = "mic", **settings: Any
) -> Listener:
    """Have `callback` called with each window that is heard; otherwise as `stream`."""
    return Listener(callback, stream(device, **settings))
