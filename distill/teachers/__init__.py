"""Teachers that students learn from."""
