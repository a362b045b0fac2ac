"""Licences under which a source may be trained on, so that the weights can be redistributed."""

from __future__ import annotations

import re

# A licence text counts as free if it names one of these licences ...
FREE = re.compile(
    r"CC[ -]?0|CC Zero|public domain|CC[ -]BY|CC Attribution|OGA[ -]BY|Creative Commons"
    r"|\b[AL]?GPL|Apache|\bMIT\b|\bBSD|\bExpat\b|\bMPL|\bODbL\b|\bWTFPL\b"
    r"|\bArtistic|\bFree Art\b|\bwxWindows\b|\bzlib\b|\bISC\b|free licence",
    re.IGNORECASE,
)
# ... and none of these conditions. They forbid commercial use or derived works.
RESTRICTED = re.compile(
    r"(?<![a-z])(nc|nd)(?![a-z])|non[ -]?commercial|no[ -]?deriv|sampling|personal use"
    r"|all rights reserved|proprietary|unknown",
    re.IGNORECASE,
)
REMARK = re.compile(r"\([^()]*(\([^()]*\)[^()]*)*\)")  # Where the licence is stated, or who by.


def is_free(licence: str) -> bool:
    """Return True if weights trained on works under `licence` may be redistributed.

    Parameters
    ----------
    licence : str
        Names of one or more licences. All of them have to be free, since the text does not say
        which file each one covers. Remarks in parentheses count for what they restrict only if
        they name a Creative Commons licence.
    """
    plain = REMARK.sub(" ", licence)
    restricted = RESTRICTED.search(plain) or re.search(r"BY[ -]N[CD]", licence, re.IGNORECASE)
    return bool(FREE.search(licence)) and not restricted
