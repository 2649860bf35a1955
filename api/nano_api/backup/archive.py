# SPDX-License-Identifier: Apache-2.0
"""Backups: a tar archive with the database, the key that opens its secrets, settings and images."""

from __future__ import annotations

import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import select, text

from nano_api import __version__
from nano_api.backup.dumps import DUMP_NAMES, dump, is_empty, kind_of, load
from nano_api.clock import now
from nano_api.data_folder import in_use
from nano_api.database import Database
from nano_api.errors import Conflict, InvalidInput, NotFound
from nano_api.jobs import service as jobs
from nano_api.jobs.tables import ENDED, Job
from nano_api.schema_versions import known_versions, upgrade
from nano_api.settings import Settings

_MANIFEST = "manifest.json"
_KEY = "secret.key"
_SETTINGS = "nano.toml"
_IMAGES = "images"
_MEMBER = re.compile(
    rf"{re.escape(_MANIFEST)}|{re.escape(_KEY)}|{re.escape(_SETTINGS)}"
    rf"|{'|'.join(map(re.escape, DUMP_NAMES.values()))}|{_IMAGES}/[A-Za-z0-9_-][A-Za-z0-9._-]*"
)


@dataclass(frozen=True)
class Manifest:
    """What a backup is."""

    made_at: str
    made_by: str
    database: str
    schema: str
    with_images: bool


def back_up(
    settings: Settings, target: Path, *, with_images: bool = False, without_key: bool = False
) -> Manifest:
    """Write everything into one new file that only its owner may read. The service may go on.

    ``without_key``: there may be none; what it would open is lost already.

    :raises NotFound: the data folder holds no data
    :raises Conflict: the file exists
    """
    url = settings.effective_database_url
    kind = kind_of(url)
    if not (settings.data / _KEY).is_file() and not without_key:
        raise NotFound(f"{settings.data} holds no data of this service: no {_KEY}")
    if target.exists():
        raise Conflict(f"{target} exists: a backup overwrites nothing")
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=target.parent) as work:
        copy = Path(work) / DUMP_NAMES[kind]
        dump(url, copy)
        manifest = Manifest(
            made_at=now().isoformat(),
            made_by=f"nano-cloud {__version__}",
            database=kind,
            schema=_schema_of(url, copy),
            with_images=with_images,
        )
        description = Path(work) / _MANIFEST
        description.write_text(json.dumps(asdict(manifest), indent=2) + "\n")
        unfinished = Path(work) / "archive"
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
                archive.add(description, _MANIFEST)
                archive.add(copy, copy.name)
                for name in (_KEY, _SETTINGS):
                    if (settings.data / name).is_file():
                        archive.add(settings.data / name, name)
                for image in _image_files(settings) if with_images else ():
                    archive.add(image, f"{_IMAGES}/{image.name}")
            file.flush()
            os.fsync(file.fileno())
        os.link(unfinished, target)  # unlike a rename it overwrites nothing
    return manifest


def restore(settings: Settings, source: Path, *, replace: bool = False) -> tuple[Manifest, str]:
    """Put a backup's content into the data folder and the database; the service must be down.

    Jobs that had not ended when the backup was made are not repeated: their cells are read.
    Returns the manifest and, where there were data before, the backup that was made of them.

    :raises Conflict: the service runs, or there are data and ``replace`` is not given
    :raises InvalidInput: the file is no backup, or one for another kind of database
    """
    settings.prepare_folders()
    with in_use(settings.data, alone=True, purpose="restore"), _unpacked(source) as folder:
        manifest = _manifest(folder)
        _check_fits(settings, manifest)
        before = _keep_what_is_there(settings, replace)
        load(settings.effective_database_url, folder / DUMP_NAMES[manifest.database])
        for name in (_KEY, _SETTINGS):
            if (folder / name).is_file():
                _put(folder / name, settings.data / name)
        for image in sorted((folder / _IMAGES).glob("*")):
            _put(image, settings.image_folder / image.name)
        _settle_open_jobs(settings)
    return manifest, before


def _image_files(settings: Settings) -> list[Path]:
    """The finished ones; what arrives just now has a name that begins with a dot."""
    return [
        path
        for path in sorted(settings.image_folder.glob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]


def _schema_of(url: str, sqlite_copy: Path) -> str:
    if kind_of(url) == "sqlite":
        url = f"sqlite:///{sqlite_copy}"
    database = Database(url)
    try:
        with database.reading() as session:
            return str(session.execute(text("SELECT version_num FROM alembic_version")).scalar())
    finally:
        database.close()


@contextmanager
def _unpacked(source: Path) -> Iterator[Path]:
    if not source.is_file():
        raise NotFound(f"no backup at '{source}'")
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=source.absolute().parent) as folder:
        try:
            with tarfile.open(source) as archive:
                for member in archive:
                    _unpack(archive, member, Path(folder))
        except (tarfile.TarError, EOFError, OSError) as error:
            raise InvalidInput(f"{source} cannot be read as a backup: {error}") from error
        yield Path(folder)


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Plain files with the names that backups have, and nothing else."""
    content = archive.extractfile(member) if member.isreg() else None
    if content is None or not _MEMBER.fullmatch(member.name):
        raise InvalidInput(f"the file is no backup of this service: it holds {member.name!r}")
    target = folder / member.name
    target.parent.mkdir(exist_ok=True)
    with content, target.open("xb") as file:
        shutil.copyfileobj(content, file)


def _manifest(folder: Path) -> Manifest:
    try:
        manifest = Manifest(**json.loads((folder / _MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InvalidInput(f"the file is no backup of this service: {error}") from error
    if manifest.database not in DUMP_NAMES:
        raise InvalidInput(f"the backup holds an unknown kind of database: {manifest.database}")
    return manifest


def _check_fits(settings: Settings, manifest: Manifest) -> None:
    kind = kind_of(settings.effective_database_url)
    if manifest.database != kind:
        raise InvalidInput(
            f"the backup is of a {manifest.database} database, this service uses {kind}: set "
            "database_url to a database of that kind"
        )
    if manifest.schema not in known_versions():
        raise InvalidInput(
            f"the backup was made by {manifest.made_by}, whose database is newer (version "
            f"{manifest.schema}): install that version first"
        )


def _keep_what_is_there(settings: Settings, replace: bool) -> str:
    database = Database(settings.effective_database_url)
    try:
        empty = is_empty(database)
    finally:
        database.close()
    if empty and not (settings.data / _KEY).exists():
        return ""
    if not replace:
        raise Conflict(
            f"{settings.data} or its database holds data already: --replace backs them up and "
            "takes the backup's instead"
        )
    if empty:
        return ""
    kept = settings.data / f"before-restore-{now():%Y%m%dT%H%M%S%f}.tar.gz"
    back_up(settings, kept, without_key=True)
    return str(kept)


def _put(source: Path, target: Path) -> None:
    fresh = target.with_name(f".{target.name}.restored")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file, source.open("rb") as content:
        while chunk := content.read(1 << 20):
            file.write(chunk)
    fresh.replace(target)


def _settle_open_jobs(settings: Settings) -> None:
    database = Database(settings.effective_database_url)
    try:
        upgrade(database)
        with database.transaction() as session:
            for job in session.scalars(select(Job).where(Job.state.not_in(ENDED))):
                why = "the data were restored from a backup that was made in the middle of this job"
                jobs.settle(session, job, "internal", why)
    finally:
        database.close()
