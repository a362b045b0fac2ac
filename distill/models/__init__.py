"""Networks that are trained and exported: students, their vocabulary and checkpoints."""
