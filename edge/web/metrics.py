"""The status and the metrics of the run, for the page, `/health` and `/metrics`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from edge.streaming.device_manager import DeviceManager
from edge.streaming.pipeline import Stats
from edge.web.history import Feed

STATES = ("quiet", "listening", "caption")
OVER_S = 5.0  # Averaging time of the CPU share, in seconds.


class Board:
    """Collects numbers from `device_manager` and `feed`. No caption text is included."""

    def __init__(self, device_manager: DeviceManager, feed: Feed) -> None:
        self.viewers = 0
        self._device_manager, self._feed = device_manager, feed
        self._cpu: deque[tuple[float, float]] = deque([(time.monotonic(), time.process_time())])
        self._began = time.monotonic()

    def status(self) -> dict[str, Any]:
        """Return the status that the page shows, as a JSON object."""
        devices = []
        for status in self._device_manager.status():
            last = self._feed.last.get(status.device)
            confidence = last.confidence if last and last.state != "quiet" else None
            devices.append({**asdict(status), "confidence": confidence})
        return {
            "lives": self._device_manager.lives,
            "cpu_share": round(self._cpu_share(), 4),
            "devices": devices,
        }

    def health(self) -> dict[str, Any]:
        """Return the response of `/health` as a JSON object."""
        lives = self._device_manager.lives
        return {
            "status": "ok" if lives else "hangs",
            "up_s": round(time.monotonic() - self._began, 1),
            "viewers": self.viewers,
            "devices": {status.device: status.state for status in self._device_manager.status()},
        }

    def metrics(self) -> str:
        """Return the metrics in the Prometheus text format, version 0.0.4."""
        devices, counts, out = (
            self._device_manager.status(),
            self._device_manager.counts(),
            _Metrics(),
        )
        stats = sum(counts.values(), Stats())
        out.add("up", "gauge", "Whether no loop hangs.", {"": float(self._device_manager.lives)})
        out.add("viewers", "gauge", "Pages and programs that watch.", {"": self.viewers})
        out.add("audio_seconds_total", "counter", "Audio heard.", {"": stats.audio_s})
        out.add("busy_seconds_total", "counter", "Time spent on it.", {"": stats.busy_s})
        cpu_s = time.process_time()
        out.add("cpu_seconds_total", "counter", "CPU time of the process.", {"": cpu_s})
        for name, help_text in [
            ("windows", "Windows captioned."),
            ("skipped_windows", "Windows skipped to keep up."),
        ]:
            # Devices that have ended stay listed, because a counter that disappears and returns
            # looks like a restart.
            values: dict[str, float] = {
                _labels(device=device): getattr(count, name) for device, count in counts.items()
            }
            out.add(f"{name}_total", "counter", help_text, values)
        lost = {_labels(device=device): count.lost_s for device, count in counts.items()}
        out.add("lost_seconds_total", "counter", "Audio that was lost.", lost)
        events: dict[str, float] = {
            _labels(device=device): self._feed.events[device] for device in counts
        }
        out.add("events_total", "counter", "Events that began.", events)
        levels = {_labels(device=d.device): d.level_db for d in devices}
        out.add("level_dbfs", "gauge", "Level of the newest audio, in dB re full scale.", levels)
        states = {
            _labels(device=d.device, state=state): float(d.state == state)
            for d in devices
            for state in STATES
        }
        out.add("state", "gauge", "What the last window was: 1 of one, 0 of the others.", states)
        return out.text

    def _cpu_share(self) -> float:
        """Return the recent CPU time of the process per second; 1 is one core."""
        now = (time.monotonic(), time.process_time())
        while len(self._cpu) > 1 and now[0] - self._cpu[0][0] > OVER_S:
            self._cpu.popleft()
        if now[0] - self._cpu[-1][0] > OVER_S / 20:
            self._cpu.append(now)
        then = self._cpu[0]
        return (now[1] - then[1]) / max(now[0] - then[0], 1e-3)


class _Metrics:
    def __init__(self) -> None:
        self.text = ""

    def add(self, name: str, kind: str, help_text: str, values: Mapping[str, float]) -> None:
        """Append one metric; `values` are keyed by their formatted labels."""
        name = f"aac_stream_{name}"
        self.text += f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n"
        for labels, value in values.items():
            self.text += f"{name}{labels} {value:.12g}\n"


def _labels(**labels: str) -> str:
    escaped = [f'{name}="{_escaped(value)}"' for name, value in labels.items()]
    return "{" + ",".join(escaped) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
