"""The table of files: recordings of public repositories and packages, each with its label."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEBIAN = " (Debian)"  # Suffix of the names of Debian packages in the shared corpora.
# Sources of the shared corpora whose name does not start with the name of their repository.
RENAMED = {
    "APercy (airutils, motorboat)": "APercy/airutils",
    "FlightGear aircraft (FGMEMBERS)": "FGMEMBERS",
    "KidsBird: isensee-bastian/bird-guess": "isensee-bastian/bird-guess",
    "OpenClonk": "openclonk/openclonk",
    "SS14 (vadim666pro/soti-station-rep2)": "vadim666pro/soti-station-rep2",
    "arianne/stendhal (jmlucas31070-dev fork)": "arianne/stendhal",
    "small Minetest mods": "minetest-mods",
}
# The repository's licence file decides; another file of it quotes a licence of a tutorial.
LICENCES = {
    "own recording; repository LICENSE.md Apache-2.0, setup.py says CC BY-NC-SA": (
        "Apache-2.0 (own recording)"
    )
}


@dataclass(frozen=True)
class FileRow:
    """An excerpt of a file in a source, and what is heard in it."""

    source: str  # A row of packages.csv or repositories.csv.
    path: str  # End of the file's path in the source, or in an archive of the source.
    start_s: float  # Start of the excerpt.
    duration_s: float
    label: str  # As its collector wrote it; `Recipe.label_of` translates it.
    licence: str  # Empty if the licence of the source covers the file.

    @property
    def key(self) -> tuple[str, str, str]:
        return self.source, self.path, f"{self.start_s:g}"


def normalise(source: str, path: str, licence: str) -> tuple[str, str, str]:
    """Return source, path and licence of a row of a shared corpus as our tables write them.

    Debian packages go by their name, repositories by "owner/name".
    """
    licence = LICENCES.get(licence, licence)
    if source == "small Debian packages":
        package, _, licence = licence.partition(": ")
        return package, path, licence
    if source == f"asterisk-prompt-*{DEBIAN}":
        variant, _, path = path.partition("/")
        return f"asterisk-prompt-{variant}", path, licence
    if source in RENAMED:
        return RENAMED[source], path, licence
    if source.endswith(DEBIAN):
        return source.removesuffix(DEBIAN), path, licence
    repository = re.match(r"[\w.-]+/[\w.-]+", source)
    return (repository[0] if repository else source), path, licence
