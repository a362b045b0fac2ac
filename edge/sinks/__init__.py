"""Where captions go: each sink is a module here."""

from edge.sinks.manager import SinkManager
from edge.sinks.outlet import Outlet
from edge.sinks.sink import HearingSink, Sink

__all__ = ["HearingSink", "Outlet", "Sink", "SinkManager"]
