"""When the gate says nothing: what it misses, against what it lets through, by its thresholds."""
