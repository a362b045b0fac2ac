"""What a user can mend where students are trained."""

from __future__ import annotations

from edge.errors import AacStreamError


class CorpusError(AacStreamError):
    """The corpus, or what training needs beside it, cannot be read; the message names the file."""
