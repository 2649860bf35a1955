# SPDX-License-Identifier: Apache-2.0
"""Directories that are expensive to build: built once per recipe, shared by every checkout."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.mounts import mounts, unmount_below

CACHE_DIRECTORY = Path("/var/cache/nano-cloud-lab")


def recipe_hash(recipe: dict[str, object]) -> str:
    """Return twelve hexadecimal digits that change with anything in the recipe."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


@contextlib.contextmanager
def exclusive(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock file; the kernel drops the lock when its holder dies.

    `waiting` is called once when somebody else holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock_file:
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            fcntl.flock(lock_file, fcntl.LOCK_EX)
        yield


def cached_path(kind: str, recipe: dict[str, object]) -> Path:
    """Return where the result of a recipe is, or would be."""
    return CACHE_DIRECTORY / f"{kind}-{recipe_hash(recipe)}"


def cached_directory(
    kind: str,
    recipe: dict[str, object],
    build: Callable[[Path], None],
    progress: Callable[[str], None],
) -> Path:
    """Return the directory `<kind>-<hash of recipe>`, after building it if it is not there.

    `build` gets an empty directory to fill. The result appears under its final name by one
    rename, so a build that was killed is never mistaken for a finished one; what it left is
    removed by the next.
    """
    CACHE_DIRECTORY.mkdir(parents=True, exist_ok=True)
    final = cached_path(kind, recipe)
    if final.is_dir():
        return final

    def waiting() -> None:
        progress(f"Waiting for another process that is building {final.name}")

    with exclusive(CACHE_DIRECTORY / f"{final.name}.lock", waiting):
        if final.is_dir():
            return final
        for leftover in CACHE_DIRECTORY.glob(f"{final.name}.partial-*"):
            remove_tree(leftover)
        # A name of its own: what a killed build had started may be writing for a moment yet.
        partial = Path(tempfile.mkdtemp(prefix=f"{final.name}.partial-", dir=CACHE_DIRECTORY))
        partial.chmod(0o755)
        try:
            build(partial)
            (partial / "recipe.json").write_text(json.dumps(recipe, indent=2, sort_keys=True))
        except BaseException:
            remove_tree(partial)
            raise
        os.rename(partial, final)
    return final


def prune(keep: list[Path]) -> list[Path]:
    """Delete what older recipes have left in the cache, and return the paths.

    Kept: the directories given, what a running lab has as its lower layer, and what is being
    built.
    """
    in_use = [mount.options for mount in mounts() if mount.filesystem == "overlay"]
    removed = []
    for directory in sorted(CACHE_DIRECTORY.glob("*-*")):
        if not directory.is_dir() or directory in keep or ".partial-" in directory.name:
            continue
        if any(f"lowerdir={directory}/" in options for options in in_use):
            continue
        with exclusive(CACHE_DIRECTORY / f"{directory.name}.lock"):
            remove_tree(directory)
        removed.append(directory)
    return removed


def remove_tree(directory: Path) -> None:
    """Delete a directory after unmounting whatever is mounted below it.

    Raises LabError when something below stays mounted: deleting through a mount would
    destroy what is on the other side.
    """
    if not directory.exists():
        return
    still_mounted = unmount_below(directory)
    if still_mounted:
        raise LabError(
            f"{directory} cannot be removed while {still_mounted[0]} is mounted; end the "
            "processes that use it and try again."
        )
    shutil.rmtree(directory)
