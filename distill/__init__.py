"""Training: corpus, captions, student, teacher, losses, evaluation (PyTorch)."""
