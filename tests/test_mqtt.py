"""Captions on a real MQTT broker, and what Home Assistant would make of them."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random

import pytest

from edge.config import StreamConfig
from edge.errors import ConfigError, OutputError
from edge.sinks.mqtt.broker import PASSWORD, Broker, broker_of, default_prefix, password_of, slug
from edge.sinks.mqtt.homeassistant import discovery, topics_of
from edge.sinks.mqtt.sink import MqttSink
from edge.sinks.worker import SinkWorker
from edge.streaming.event_tracker import Event
from edge.streaming.pipeline import Caption
from edge.streaming.results import WindowResult
from tests import mosquitto
from tests.helpers import ROOT, SAMPLE, aac_stream, the_one_line, times
from tests.mosquitto import MOSQUITTO, broker, listener
from tests.running import WAIT_S, Running, running, until

needs_broker = pytest.mark.skipif(
    MOSQUITTO is None, reason="no MQTT broker; type: sudo apt-get install mosquitto"
)
PREFIX = default_prefix()
OFTEN = ("--window-s", "1", "--hop-s", "0.25")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[mosquitto.Broker]:
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    with broker(tmp_path) as one:
        yield one


# --- the setting


@pytest.mark.parametrize(
    ("url", "is_"),
    [
        ("mqtt://broker", Broker("broker", 1883, False, None, PREFIX)),
        ("mqtts://me@broker", Broker("broker", 8883, True, "me", PREFIX)),
        ("mqtt://a%40b@[::1]:99/home/pi/", Broker("::1", 99, False, "a@b", "home/pi")),
    ],
)
def test_a_broker_has_a_url(url: str, is_: Broker) -> None:
    assert broker_of(url) == is_


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("broker", "'broker' is not a broker, as mqtt://user@host:1883/prefix"),
        ("http://broker", "is not a broker"),
        ("mqtt://", "is not a broker"),
        ("mqtt://broker:port", "is not a broker"),
        ("mqtt://broker/a?b=c", "is not a broker"),
        ("mqtt://broker/$SYS", "cannot begin a topic"),
        ("mqtt://broker/a/+/b", "cannot begin a topic"),
        (
            "mqtt://me:secret@broker",
            f"put it into a file that mqtt_password_file names, .*{PASSWORD}",
        ),
        ("mqtt://broker/homeassistant", "is where Home Assistant's own topics are; choose another"),
        ("mqtt://broker/homeassistant/", "is where Home Assistant's own topics are"),
        ("mqtt://broker//homeassistant/sensor", "is where Home Assistant's own topics are"),
        ("http://me:secret@broker", "holds a password"),
        ("mqtt://me:secret@broker:port", "is not a broker"),
    ],
)
def test_what_is_none_is_one_line_and_no_password_is_shown(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        StreamConfig(mqtt=url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_machines_do_not_share_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Küchen-Pi.local")
    assert broker_of("mqtt://broker").prefix == "aac-stream/kuchen-pi_local"
    assert broker_of("mqtt://broker/attic").prefix == "attic"


def test_a_password_is_in_a_file_or_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert password_of(None) is None
    monkeypatch.setenv(PASSWORD, "one")
    assert password_of(None) == "one"
    (tmp_path / "file").write_text("two \r\n")
    assert password_of(str(tmp_path / "file")) == "two "
    with pytest.raises(ConfigError, match="none: cannot be read"):
        password_of(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="a password needs a user"):
        StreamConfig(mqtt="mqtt://broker", mqtt_password_file="file")


def test_without_the_package_one_line_says_what_to_type() -> None:
    code = (
        "import sys; sys.modules['paho'] = None; from edge.cli import main;"
        f"sys.exit(main(['--device', {str(SAMPLE)!r}, '--mqtt', 'mqtt://localhost']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert the_one_line(done).endswith("type: pip install 'aac-stream[mqtt]'")


# --- topics


def test_topics_have_plain_names_and_no_two_are_one() -> None:
    assert [slug(text) for text in ("Küche 2", "rtsp://cam/1", "門")] == [
        *("kuche_2", "rtsp_cam_1", "device")
    ]
    topics = topics_of("p", ["a b", "a_b", "門", "窓"])
    bases = [topic.base for topic in topics.values()]
    assert bases == ["p/a_b", "p/a_b_2", "p/device", "p/device_2"]


def test_home_assistant_is_told_all_that_it_asks_for() -> None:
    """As its pages on discovery, sensor.mqtt and binary_sensor.mqtt demand."""
    topics = topics_of("p", ["Küche"])["Küche"]
    messages = discovery("p", "Küche", topics)
    assert messages == discovery("p", "Küche", topics)  # after a restart too
    found = {message.topic: json.loads(message.payload) for message in messages}
    assert all(message.retain for message in messages)
    host = slug(socket.gethostname())
    assert set(found) == {
        f"homeassistant/{kind}/{host}_p_kuche/{name}/config"
        for kind, name in [("sensor", "caption"), ("binary_sensor", "sound"), ("sensor", "state")]
    }
    for topic, config in found.items():
        assert config["unique_id"] == "_".join(topic.split("/")[2:4])
        assert config["availability_topic"] == "p/status"  # online and offline are its defaults
        assert config["device"]["identifiers"] == [f"{host}_p_kuche"]
        assert config["device"]["name"].startswith("Küche")
        assert config["device"]["sw_version"]
        assert config["state_topic"] in (topics.caption, topics.state)
    sound = found[f"homeassistant/binary_sensor/{host}_p_kuche/sound/config"]
    assert sound["device_class"] == "sound"
    jinja2 = pytest.importorskip("jinja2", reason="Home Assistant's templates need jinja2")
    template = jinja2.Template(sound["value_template"])
    assert [template.render(value=v) for v in ("quiet", "a dog barks")] == ["OFF", "ON"]


def test_what_waited_for_the_broker_is_not_what_sounds_now() -> None:
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    sink = MqttSink(StreamConfig(mqtt="mqtt://127.0.0.1:1"))

    def told(ago_s: float, state: str, *events: Event) -> list[tuple[str, str]]:
        """What is published of a window that ended so many seconds ago."""
        began = datetime.now(timezone.utc) - timedelta(seconds=100.0 + ago_s)
        caption = Caption(95.0, 100.0, state, "", 1.0, -20.0)
        messages = sink.of(WindowResult("mic", caption, events, began)) or []
        return [(m.topic.rpartition("/")[2], m.payload) for m in messages if "{" not in m.payload]

    def barks(is_open: bool) -> Event:
        return Event(1, 94.0, 99.0, "a dog barks", 0.8, is_open)

    assert told(1.0, "quiet") == [("caption", "quiet"), ("state", "quiet")]
    assert told(60.0, "caption", barks(True)) == []
    assert told(30.0, "caption", barks(False)) == []
    assert told(5.0, "quiet") == []
    assert told(1.0, "caption", barks(True)) == [("caption", "a dog barks"), ("state", "caption")]
    assert told(30.0, "quiet", barks(False)) == []
    assert [m.payload for m in sink.end() or []] == ["quiet", "quiet"]
    sink.close()


# --- runs


@needs_broker
def test_what_is_heard_arrives_and_is_what_the_events_say(here: mosquitto.Broker) -> None:
    fast = ("--device", f"the yard={SAMPLE}", "--fast", "--format", "events")
    with listener(here.port) as ear:
        done = aac_stream(*fast, "--mqtt", here.url)
        assert done.returncode == 0, done.stderr
        until(lambda: ear.of(f"{PREFIX}/status")[-1:] == ["offline"], "the end")
    assert ear.of(f"{PREFIX}/the_yard/event") == done.stdout.splitlines()
    assert done.stdout == aac_stream(*fast).stdout != ""
    assert ear.of(f"{PREFIX}/status") == ["online", "offline"]
    captions = ear.of(f"{PREFIX}/the_yard/caption")
    assert "a rooster crows" in captions
    assert captions[0] == captions[-1] == "quiet"
    assert set(ear.of(f"{PREFIX}/the_yard/state")) <= {"listening", "quiet", "caption"}
    attributes = [json.loads(text) for text in ear.of(f"{PREFIX}/the_yard/attributes")]
    assert {"confidence", "start_s", "end_s", "at"} <= set(attributes[0])
    with listener(here.port) as later:  # who comes later is told the state, and no old event
        until(lambda: len(later.messages) >= 7, "what is retained")
    assert all(retained for _, _, retained in later.messages)
    topics = {topic for topic, _, _ in later.messages}
    assert sum(topic.startswith("homeassistant/") for topic in topics) == 3
    assert f"{PREFIX}/the_yard/event" not in topics
    assert later.of(f"{PREFIX}/the_yard/caption") == ["quiet"]


@needs_broker
def test_home_assistant_that_starts_again_is_told_again(
    here: mosquitto.Broker, crying: Path
) -> None:
    with listener(here.port) as ear, running("--device", f"yard={crying}", "--mqtt", here.url):
        until(lambda: ear.of(f"{PREFIX}/status") == ["online"], "a sign of life")
        configs = [topic for topic, _, _ in ear.messages if topic.endswith("/config")]
        ear.publish("homeassistant/status", "online")
        for topic in configs:
            until(lambda topic=topic: len(ear.of(topic)) == 2, topic)
        assert len(set(ear.of(configs[0]))) == 1
        # Another that uses the same topics has ended: this one goes on.
        ear.publish(f"{PREFIX}/status", "offline")
        until(lambda: ear.of(f"{PREFIX}/status")[-2:] == ["offline", "online"], "online again")


@needs_broker
def test_a_reload_that_connects_anew_leaves_it_online(
    here: mosquitto.Broker, crying: Path, tmp_path: Path
) -> None:
    """The old connection says goodbye after the new one has said hello."""
    config = tmp_path / "c.yaml"
    config.write_text(f"mqtt: {here.url}\n")
    arguments = ("--device", f"yard={crying}", *OFTEN, "--config", str(config))
    with listener(here.port) as ear, running(*arguments) as run:
        until(lambda: ear.of(f"{PREFIX}/status") == ["online"], "a sign of life")
        config.write_text(f"mqtt: {here.url}/{PREFIX}\n")  # the same topics by another URL
        run.hup()
        run.told("mqtt changed")
        # It may say so twice: on its own, and because it sees the goodbye.
        until(lambda: "offline" in ear.of(f"{PREFIX}/status"), "the goodbye")
        until(lambda: ear.of(f"{PREFIX}/status")[-1] == "online", "online again")
        before = len(ear.of(f"{PREFIX}/yard/event"))
        until(lambda: len(ear.of(f"{PREFIX}/yard/event")) >= before + 2, "events")
        assert ear.of(f"{PREFIX}/status")[-1] == "online"
        end_well(run)
        until(lambda: ear.of(f"{PREFIX}/status")[-1] == "offline", "the end")


@needs_broker
def test_its_own_messages_are_not_answered(here: mosquitto.Broker) -> None:
    """Nor is anything that is said in answer to others."""
    with listener(here.port) as ear:
        outlet = SinkWorker(MqttSink(StreamConfig(mqtt=here.url)), sources_wait=False)
        until(lambda: ear.of(f"{PREFIX}/status") == ["online"], "a sign of life")
        first = len(ear.messages)
        ear.publish("homeassistant/status", "online")
        ear.publish(f"{PREFIX}/status", "offline")
        # 3 entities, caption, state and status; and the answer to the second.
        until(lambda: len(ear.messages) >= first + 9, "the answers")
        ear.publish("that/is", "all")
        until(lambda: ear.of("that/is") == ["all"], "all that was on its way")
        assert len(ear.messages) == first + 10
        outlet.close(None)
        until(lambda: ear.of(f"{PREFIX}/status")[-1] == "offline", "the end")
        assert ear.of(f"{PREFIX}/status")[-2:] == ["online", "offline"]


class SlowBroker:
    """Says that it is there, and acknowledges nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.got: list[bytearray] = []  # from each connection
        self.open = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.got.append(bytearray())
            self.open += 1
            threading.Thread(
                target=self._talk, args=(connection, self.got[-1]), daemon=True
            ).start()

    def _talk(self, connection: socket.socket, got: bytearray) -> None:
        with connection, contextlib.suppress(OSError):
            got += connection.recv(65536)
            connection.sendall(b"\x20\x02\x00\x00")  # CONNACK
            while data := connection.recv(65536):
                got += data
        self.open -= 1

    def close(self) -> None:
        self._socket.close()


def test_a_broker_that_does_not_answer_cannot_keep_a_connection() -> None:
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    slow = SlowBroker()
    outlet = SinkWorker(
        MqttSink(StreamConfig(mqtt=f"mqtt://127.0.0.1:{slow.port}")), sources_wait=False
    )
    until(lambda: slow.open == 1, "a connection")
    outlet.push(WindowResult("mic", None, (Event(1, 0.0, 1.0, "a dog barks", 0.8, True),)))
    until(lambda: b"a dog barks" in slow.got[0], "an event")
    with pytest.raises(OutputError, match=r"does not answer|could not be written"):
        outlet.close(0.1)
    until(lambda: slow.open == 0 and outlet.join(0.0), "the end of connection and thread")
    slow.close()
    status = f"{PREFIX}/status".encode()
    assert slow.got[0].endswith(b"\xe0\x00")  # DISCONNECT, and before it
    assert slow.got[0].rfind(status + b"\x00") >= 0
    assert b"offline" in slow.got[0][slow.got[0].rfind(status) :]


def test_a_broker_that_talks_nonsense_is_one_line_and_is_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    monkeypatch.setattr(logging.getLogger("edge"), "propagate", True)
    monkeypatch.setattr("edge.sinks.mqtt.sink.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("edge.sinks.mqtt.sink.LONGEST_WAIT_S", 0.01)
    random, count = Random(1), 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT_S)
        url = f"mqtt://127.0.0.1:{server.getsockname()[1]}"
        outlet = SinkWorker(MqttSink(StreamConfig(mqtt=url)), sources_wait=False)
        outlet.push(WindowResult("mic", None, (Event(1, 0.0, 1.0, "a dog barks", 0.8, True),)))
        while count < 200:
            connection, _ = server.accept()
            count += 1
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                greeting = b"\x20\x02\x00\x00" if count % 2 else b""
                connection.sendall(greeting + random.randbytes(random.randrange(64)))
    with pytest.raises(OutputError):
        outlet.close(0.1)
    until(lambda: outlet.join(0.0), "the end")
    assert "Traceback" not in caplog.text
    assert caplog.text.count("what is heard is kept") == 1


@pytest.mark.parametrize(
    ("url", "password", "warns"),
    [
        ("mqtt://me@broker.invalid", "secret", True),
        ("mqtts://me@broker.invalid", "secret", False),
        ("mqtt://me@127.0.0.1:1", "secret", False),
        ("mqtt://me@localhost:1", "secret", False),
        ("mqtt://me@[::1]:1", "secret", False),
        ("mqtt://me@broker.invalid", None, False),
        ("mqtt://broker.invalid", "secret", False),
    ],
)
def test_a_password_that_others_could_read_is_told(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    password: str | None,
    warns: bool,
) -> None:
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    monkeypatch.setattr(logging.getLogger("edge"), "propagate", True)
    if password is not None:
        monkeypatch.setenv(PASSWORD, password)
    sink = MqttSink(StreamConfig(mqtt=url))
    sink.close()
    sink.close()
    said = [record.getMessage() for record in caplog.records]
    told = "mqtt://broker.invalid:1883: the password crosses the network unencrypted; use mqtts://"
    assert said == ([told] if warns else [])


@needs_broker
def test_a_reload_keeps_the_connection_and_announces_a_new_device(
    here: mosquitto.Broker, crying: Path, tmp_path: Path
) -> None:
    config, other = tmp_path / "c.yaml", tmp_path / "other.flac"
    other.symlink_to(crying)
    config.write_text(f"device: [yard={crying}]\n")
    with (
        listener(here.port) as ear,
        running(*OFTEN, "--mqtt", here.url, "--config", str(config)) as run,
    ):
        until(lambda: bool(ear.of(f"{PREFIX}/yard/event")), "an event")
        config.write_text(f"device: [yard={crying}, hall={other}]\nformat: jsonl\n")
        run.hup()
        run.told("device, format changed")
        until(lambda: bool(ear.of(f"{PREFIX}/hall/event")), "an event of the new device")
        configs = [topic for topic, _, _ in ear.messages if topic.endswith("/config")]
        assert sum("_hall/" in topic for topic in configs) == 3
        assert len(set(configs)) == len(configs) == 6
        assert ear.of(f"{PREFIX}/status") == ["online"]
        end_well(run)
    assert ear.of(f"{PREFIX}/status") == ["online", "offline"]


@needs_broker
def test_the_broker_says_that_a_run_was_killed(here: mosquitto.Broker, crying: Path) -> None:
    url = f"{here.url}/home/hall"
    with listener(here.port) as ear:
        with running("--device", f"yard={crying}", "--mqtt", url) as run:
            until(lambda: ear.of("home/hall/status") == ["online"], "a sign of life")
            run.end(signal.SIGKILL)
        until(lambda: ear.of("home/hall/status") == ["online", "offline"], "the last will")


@needs_broker
def test_a_broker_that_goes_away_gets_all_once_it_is_back(
    here: mosquitto.Broker, crying: Path, tmp_path: Path
) -> None:
    out = tmp_path / "events.jsonl"
    arguments = ("--device", f"yard={crying}", *OFTEN, f"--also=events:{out}", "--mqtt", here.url)
    with listener(here.port) as ear, running(*arguments) as run:
        until(lambda: bool(ear.of(f"{PREFIX}/yard/event")), "an event")
        here.kill()
        assert "; what is heard is kept, and tried again" in run.told(here.url)
        before = _lines(out)
        until(lambda: _lines(out) > before + 2, "events elsewhere")
        here.start()
        run.told(f"{here.url}: works again after")
        until(lambda: len(set(ear.of(f"{PREFIX}/yard/event"))) > before + 2, "events")
        assert ear.of(f"{PREFIX}/status")[-1] == "online"
        end_well(run)
        until(lambda: ear.of(f"{PREFIX}/status")[-1] == "offline", "the end")
    # At least once: what was on its way as the broker died may come twice.
    assert list(dict.fromkeys(ear.of(f"{PREFIX}/yard/event"))) == out.read_text().splitlines()
    assert times("mqtt://", run.err) == 2, run.err


@needs_broker
def test_a_broker_that_comes_later_gets_all(tmp_path: Path, crying: Path) -> None:
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    with broker(tmp_path) as one:
        one.kill()
        arguments = ("--device", f"yard={crying}", *OFTEN, "--format", "events", "--mqtt", one.url)
        with running(*arguments) as run:
            run.told(f"{one.url}: cannot be reached (Connection refused); what is heard is kept")
            until(lambda: len(run.out) >= 2, "events elsewhere")
            one.start()
            with listener(one.port) as ear:
                run.told("works again after")
                until(lambda: ear.of(f"{PREFIX}/status") == ["online"], "a sign of life")
                until(lambda: bool(ear.of(f"{PREFIX}/yard/event")), "events")
                end_well(run)
    got = ear.of(f"{PREFIX}/yard/event")
    assert got == run.out[-len(got) :]  # the first may have come before somebody listened
    assert times("mqtt://", run.err) == 2, run.err


@needs_broker
def test_a_wrong_password_is_told_once_and_may_be_mended(tmp_path: Path, crying: Path) -> None:
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    program = shutil.which("mosquitto_passwd")
    assert program is not None  # of the same package
    subprocess.run([program, "-b", "-c", str(tmp_path / "users"), "me", "open-sesame"], check=True)
    secret = tmp_path / "secret"
    secret.write_text("a-wrong-one\n")
    with broker(tmp_path, "allow_anonymous false", f"password_file {tmp_path / 'users'}") as one:
        url = one.url.replace("//", "//me@")
        arguments = ("--device", str(crying), *OFTEN, "--mqtt", url, "--log-level", "debug")
        with running(*arguments, "--mqtt-password-file", str(secret)) as run:
            run.told(f"{one.url}: refuses the user name or the password; what is heard is kept")
            secret.write_text("open-sesame\n")
            run.told(f"{one.url}: works again")
            end_well(run)
        with running(*arguments, env={PASSWORD: "open-sesame"}) as other:
            until(lambda: len(other.out) >= 1, "a caption")
            end_well(other)
    assert times("refuses", run.err) == 1
    for word in ("a-wrong-one", "open-sesame"):
        assert not times(word, run.err + other.err)
    assert not times("mqtt://127", other.err[1:]), other.err


@needs_broker
def test_a_broker_whose_certificate_nobody_vouches_for_is_refused(
    tmp_path: Path, crying: Path
) -> None:
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    settings = ("allow_anonymous true", f"certfile {certificate}", f"keyfile {key}")
    with broker(tmp_path, *settings) as one:
        url = one.url.replace("mqtt:", "mqtts:")
        arguments = ("--device", str(crying), *OFTEN, "--mqtt", url)
        with running(*arguments) as run:
            assert "CERTIFICATE_VERIFY_FAILED" in run.told(f"{url}: cannot be reached")
            run.end()  # The exit code says whether an event was waiting for the broker by then.
        with running(*arguments, env={"SSL_CERT_FILE": str(certificate)}) as run:
            until(lambda: len(run.out) >= 1, "a caption")
            end_well(run)
            assert not times(url, run.err), run.err


def end_well(run: Running) -> None:
    run.end()
    assert run.process.returncode == 0, run.err
    assert not times("Traceback", run.err), run.err


def _lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0
