"""From a source to events: windows, the gate, the event tracker, a worker for each device."""
