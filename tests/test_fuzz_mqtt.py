"""Whatever a broker sends, the sink goes on and delivers once the broker answers properly."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
from random import Random

import pytest

from edge.config import StreamConfig
from edge.errors import OutputError
from edge.sinks.mqtt.sink import MqttSink
from edge.sinks.worker import SinkWorker
from edge.streaming.event_tracker import Event
from edge.streaming.results import WindowResult
from tests.running import WAIT_S, until

CONNACK = b"\x20\x02\x00\x00"
CONNECTIONS, PACKETS = 60, 8  # each connection ends after so many packets


def packet(kind: int, body: bytes) -> bytes:
    """Return an MQTT packet of less than 128 bytes."""
    return bytes([kind, len(body)]) + body


def publish(topic: bytes, payload: bytes) -> bytes:
    return packet(0x30, struct.pack(">H", len(topic)) + topic + payload)


VALID = [
    publish(b"homeassistant/status", b"online"),
    publish(b"homeassistant/status", b"\xff\x00"),
    publish(b"\xff\xfe/\x00", b"offline"),  # a topic that is not UTF-8
    publish(b"aac/status", b"offline"),
    packet(0x90, b"\x00\x01\x01\x80"),  # SUBACK of a refused subscription
    packet(0x40, b"\xff\xff"),  # PUBACK of a message that was never sent
    packet(0x62, b"\x00\x07"),  # PUBREL
    packet(0xD0, b""),  # PINGRESP
    CONNACK,
    packet(0xE0, b""),  # DISCONNECT
]


def changed(random: Random) -> bytes:
    """Return a valid packet, at times with some of its bytes changed, or cut."""
    data = bytearray(random.choice(VALID))
    for _ in range(random.randrange(3)):
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data[: random.randrange(len(data) + 1)] if random.random() < 0.2 else data)


def test_changed_packets_of_a_broker_lose_no_event(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    monkeypatch.setattr(logging.getLogger("edge"), "propagate", True)
    monkeypatch.setattr("edge.sinks.mqtt.sink.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("edge.sinks.mqtt.sink.LONGEST_WAIT_S", 0.01)
    random, got = Random(1), bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT_S)
        url = f"mqtt://127.0.0.1:{server.getsockname()[1]}/aac"
        worker = SinkWorker(MqttSink(StreamConfig(mqtt=url)), sources_wait=False)
        for number in range(CONNECTIONS):
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65_536)
                sent = b"".join(changed(random) for _ in range(PACKETS))
                connection.sendall((CONNACK if number % 4 else b"") + sent)
        worker.push(WindowResult("mic", None, (Event(1, 0.0, 1.0, "a dog barks", 0.8, True),)))
        connection, _ = server.accept()
        with connection:
            connection.settimeout(WAIT_S)
            connection.recv(65_536)
            connection.sendall(CONNACK)
            while b"a dog barks" not in got:
                piece = connection.recv(65_536)
                assert piece
                got += piece
        with contextlib.suppress(OutputError):  # Nothing acknowledges the event.
            worker.close(0.1)
    until(lambda: worker.join(0.0), "the end")
    assert "Traceback" not in caplog.text
