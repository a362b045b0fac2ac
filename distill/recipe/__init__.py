"""The open corpus: tables that say which sounds it takes, and the command that builds it."""
