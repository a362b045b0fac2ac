"""Run the program: signals, reloads and systemd."""
