"""Simulated scenes: sounds, rooms, microphones, and annotations of what sounds when."""
