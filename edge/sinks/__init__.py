"""Sinks: the destinations of captions. Each sink is one module and runs in a worker thread."""
