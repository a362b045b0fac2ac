"""The probe: a small classifier on frozen embeddings that says what labelled audio is worth."""
