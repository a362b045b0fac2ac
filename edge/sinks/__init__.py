"""Where captions go: each sink is a module here, and a worker gives it a thread."""
