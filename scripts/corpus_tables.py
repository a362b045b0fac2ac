"""Write the corpus's table of files from labelled corpora on disk.

    corpus_tables.py FOLDER ... --out distill/corpus/files.csv

Each FOLDER holds a clips.csv with the columns source, source_path, excerpt_start_s, duration_s,
label and licence. The table names every file and its label; it holds no audio. Sources that are
neither in packages.csv nor in repositories.csv are named, since the build would refuse the table.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from dataclasses import astuple, fields
from pathlib import Path

from distill.corpus.file_table import FileRow, normalise
from distill.corpus.tables import load_recipe


def rows_of(folder: Path) -> list[FileRow]:
    """Return a row for each clip of the corpus in `folder`."""
    rows = []
    with open(folder / "clips.csv", newline="", encoding="utf-8") as file:
        for clip in csv.DictReader(file):
            given = clip["source"], clip["source_path"], clip["licence"]
            source, path, licence = normalise(*given)
            start, duration = float(clip["excerpt_start_s"]), float(clip["duration_s"])
            rows.append(FileRow(source, path, start, duration, clip["label"], licence))
    return rows


def main() -> int:
    """Write the table; return 1 if a source is not known."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    p.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    p.add_argument("--out", type=Path, required=True, help="CSV file to write")
    args = p.parse_args()
    rows = sorted((row for folder in args.folders for row in rows_of(folder)), key=astuple)
    sources = load_recipe().sources
    unknown = Counter(row.source for row in rows if row.source not in sources)
    with open(args.out, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([field.name for field in fields(FileRow)])
        for row in rows:
            known = sources.get(row.source)
            same = known is not None and known.licence == row.licence
            licence = "" if same else row.licence
            table.writerow([row.source, row.path, f"{row.start_s:g}", f"{row.duration_s:g}",
                            row.label, licence])  # fmt: skip
    print(f"wrote {len(rows)} rows of {len({row.source for row in rows})} sources to {args.out}")
    for source, count in sorted(unknown.items()):
        print(f"unknown source: {source} ({count} files)", file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
