"""Measurements of what runs on the device."""
