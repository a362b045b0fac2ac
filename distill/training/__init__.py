"""Preparation of training data, and training."""
