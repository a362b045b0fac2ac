"""A real MQTT broker on a free port of this machine, and somebody who listens to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
MOSQUITTO = shutil.which("mosquitto", path=PATH)
HOST = "127.0.0.1"


class Broker:
    """Mosquitto, which can be killed and started again; what it retains is forgotten then."""

    def __init__(self, folder: Path, *settings: str) -> None:
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.port = int(free.getsockname()[1])
        self._config = folder / f"mosquitto-{self.port}.conf"
        # As root, it would become a user who may not read what is in the folder.
        lines = (f"listener {self.port} {HOST}", "user root", "persistence false", *settings)
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        command = [MOSQUITTO, "-c", str(self._config)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20.0
        while True:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port)):
                return
            assert time.monotonic() < until, "mosquitto does not start"
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def url(self) -> str:
        return f"mqtt://{HOST}:{self.port}"


@contextlib.contextmanager
def broker(folder: Path, *settings: str) -> Iterator[Broker]:
    """One that lets everybody in, unless `settings` say something else."""
    one = Broker(folder, *(settings or ("allow_anonymous true",)))
    one.start()
    try:
        yield one
    finally:
        one.kill()


class Listener:
    """Gathers all that is published, in order."""

    def __init__(self, port: int) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages: list[tuple[str, str, bool]] = []  # topic, payload, whether it was retained
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.connect(HOST, port)
        self._client.loop_start()

    def _on_connect(self, client: Any, *_: Any) -> None:
        client.subscribe("#", 1)

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        self.messages.append((message.topic, message.payload.decode(), message.retain))

    def of(self, topic: str) -> list[str]:
        """What came under `topic`."""
        return [payload for name, payload, _ in list(self.messages) if name == topic]

    def publish(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, 1).wait_for_publish(10.0)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def listener(port: int) -> Iterator[Listener]:
    one = Listener(port)
    try:
        yield one
    finally:
        one.close()
