"""Caption devices from Python, with an iterator or a callback."""

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
    """Iterate over the results of all windows until the devices end or `close` is called.

    As a context manager, it closes itself at the end. Threads may share a stream, and any thread
    may close it.
    """

    def __init__(self, config: StreamConfig) -> None:
        self._manager = DeviceManager(config, load_model(config))
        self._manager.start()

    def __next__(self) -> WindowResult:
        """Return the next result, and wait for it if necessary.

        Raises
        ------
        StopIteration
            All devices have ended, or the stream is closed.
        AudioError, DeviceError
            The last running device ended with this error.
        """
        for result in self._manager.heard():
            if result is not None:
                return result
        raise StopIteration

    def close(self) -> None:
        """Release the devices; a thread that waits in `next` gets StopIteration.

        Any thread may call this, and more than once.
        """
        self._manager.close()

    @property
    def unread_windows(self) -> int:
        """Number of windows dropped because nobody took results for about an hour."""
        return self._manager.unread_windows

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:  # The caller left its loop early, or never began it.
        if hasattr(self, "_manager"):
            self.close()


def stream(device: str | list[str] = "mic", **settings: Any) -> Stream:
    """Caption `device`, for example `for result in stream("mic"): ...`.

    Parameters
    ----------
    device
        One device or several, as in `StreamConfig`.
    settings
        Fields of `StreamConfig` that concern audio and the model, for example `window_s`, `hop_s`
        and `bundle`.

    Returns
    -------
    Stream
        An iterator of window results; its devices are already running.

    Raises
    ------
    ConfigError
        A setting is wrong.
    AudioError, DeviceError
        A device cannot be opened.
    BundleError
        The model cannot be loaded.
    """
    return Stream(StreamConfig(device=device, **settings))


class Listener(AbstractContextManager["Listener"]):
    """Call `callback` with each result from a thread of its own; also a context manager."""

    def __init__(self, callback: Callable[[WindowResult], None], stream: Stream) -> None:
        self._callback, self._stream = callback, stream
        self._logged = False
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the devices have ended."""
        self._thread.join()

    def close(self) -> None:
        """Stop; the callback is not called again after this returns.

        Only if the callback itself calls `close`, its current call still has to end. Any thread may
        call this, and more than once.
        """
        self._stream.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            for result in self._stream:
                self._call(result)
        except Exception as error:  # The error of the last running device.
            log.error("%s", error)
        finally:  # The callback may raise SystemExit, which ends this thread.
            self._stream.close()

    def _call(self, result: WindowResult) -> None:
        try:
            self._callback(result)
            self._logged = False
        except Exception:  # An error of the caller's code must not stop later calls.
            if not self._logged:
                log.exception("the callback failed; it is called again with what follows")
            self._logged = True


def listen(
    callback: Callable[[WindowResult], None], device: str | list[str] = "mic", **settings: Any
) -> Listener:
    """Call `callback` with the result of each window, from a thread of its own.

    Parameters
    ----------
    callback
        Takes the result of each window. An exception that it raises is logged, and later windows
        still reach it.
    device, settings
        As in `stream`, and with the same errors.

    Returns
    -------
    Listener
        `close` stops it; `wait` waits until the devices have ended.
    """
    return Listener(callback, stream(device, **settings))
