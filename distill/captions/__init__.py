"""Captions of scenes, and the way back from a caption to labels."""
