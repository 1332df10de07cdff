"""The code of earlier releases, from the history of this repository."""

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=REPOSITORY, check=True, capture_output=True).stdout


def code_of(commit: str, folder: Path) -> Path:
    """What a commit holds, in a new folder."""
    archive = git("archive", "--format=tar", commit)
    folder.mkdir()
    subprocess.run(["tar", "--extract"], cwd=folder, input=archive, check=True)
    return folder
