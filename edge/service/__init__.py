"""A run of the program: signals, reloads, systemd."""
