"""Public Git repositories as a source of sounds: only the files that are needed are fetched."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from distill.corpus.archives import best, by_name
from distill.errors import CorpusError

SLOWEST_BYTES_S, PATIENCE_S = 1000, 60  # A transfer that stays slower for as long is given up.
ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",  # A repository that is gone must not ask for a password.
    "GIT_LITERAL_PATHSPECS": "1",  # Names of files hold brackets and stars.
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_HTTP_LOW_SPEED_LIMIT": str(SLOWEST_BYTES_S),
    "GIT_HTTP_LOW_SPEED_TIME": str(PATIENCE_S),
    "LC_ALL": "C",
}


def checkout(address: str, commit: str, paths: Sequence[str], cache: Path) -> tuple[Path, str]:
    """Fetch the files of a repository whose paths end in one of `paths`.

    What an earlier call fetched is not fetched again.

    Parameters
    ----------
    address : str
        URL of the repository.
    commit : str
        Commit to take; empty for the newest of the default branch.
    paths : sequence of str
        Ends of paths. One that no file matches is skipped, it may lie in another repository.
    cache : Path
        Folder for all repositories.

    Returns
    -------
    folder : Path
        Working tree with the files.
    commit : str
        The commit that was taken.

    Raises
    ------
    CorpusError
        If git is missing, or the repository or the commit cannot be had.
    """
    if shutil.which("git") is None:
        raise CorpusError("git is missing; install it to fetch public repositories")
    # One folder for each commit: a new commit in the table does not mix with an old one.
    key = hashlib.sha256(f"{address}\0{commit}".encode()).hexdigest()[:12]
    folder = cache / f"{address.rstrip('/').rsplit('/', 1)[-1].removesuffix('.git')}_{key}"
    done = folder / ".git" / "aac-stream"  # Holds the commit once all of it is here.
    wanted = "\n".join(sorted(set(paths)))
    if done.is_file():
        got, _, before = done.read_text(encoding="utf-8").partition("\n")
        if before == wanted:
            return folder, got
    folder.mkdir(parents=True, exist_ok=True)
    _git(address, folder, "init", "--quiet")
    _git(address, folder, "config", "remote.origin.url", address)
    _git(address, folder, "config", "remote.origin.promisor", "true")
    _git(address, folder, "config", "remote.origin.partialclonefilter", "blob:none")
    options = ["--quiet", "--depth=1", "--no-tags", "--filter=blob:none"]
    _git(address, folder, "fetch", *options, "origin", commit or "HEAD")
    got = _git(address, folder, "rev-parse", "FETCH_HEAD").strip()
    listed = _git(address, folder, "ls-tree", "-r", "-z", "--name-only", got).split("\0")
    files = by_name(name for name in listed if name)
    found = sorted({name for path in paths if (name := best(files, path))})
    if found:
        _git(
            address, folder, "checkout", "--quiet", got,
            "--pathspec-from-file=-", "--pathspec-file-nul", given="\0".join(found),
        )  # fmt: skip
    done.write_text(f"{got}\n{wanted}", encoding="utf-8")
    return folder, got


def _git(address: str, folder: Path, *arguments: str, given: str = "") -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        input=given, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise CorpusError(f"{address}: {said[-1] if said else 'git ' + arguments[0] + ' failed'}")
    return done.stdout
