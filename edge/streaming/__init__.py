"""Turn audio into events: the windows, the activity gate, the event tracker, the devices."""
