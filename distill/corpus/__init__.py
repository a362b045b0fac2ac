"""The open corpus: tables of sources and labels, and the command that builds it."""
