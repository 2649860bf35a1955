# SPDX-License-Identifier: Apache-2.0
"""Files that an administrator laid into the server's import folder become images.

They are inspected like uploads, then moved (or, across file systems, copied) into the store under
a name of the server's. What is refused stays where it is and is named.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import structlog
from sqlalchemy import select

from nano_api.cloud import Cloud
from nano_api.errors import CloudError, InvalidInput
from nano_api.images import service
from nano_api.images.inspection import FORMATS, inspect
from nano_api.images.store import ImageStore
from nano_api.images.tables import Image, Kind
from nano_api.users.names import check_account_name

log = structlog.get_logger(__name__)

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.-]")
_CHUNK_BYTES = 1 << 20
_LONGEST_STEM = 100


def import_files(cloud: Cloud, kind: Kind, *, owner: str, group: str) -> None:
    """Import what lies there, and forget images of this kind whose file is gone.

    :raises InvalidInput: a field is missing, or files were refused: each with its reason; the
        others have been imported
    """
    check_account_name(owner, "owner")
    check_account_name(group, "group")
    _forget_vanished(cloud, kind)
    folder = cloud.settings.import_folder(kind)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    refused = []
    for path in sorted(folder.iterdir()):
        image_format = path.suffix.lstrip(".").lower()
        if path.is_symlink() or not path.is_file() or image_format not in FORMATS[kind]:
            continue
        try:
            _import(cloud, kind, path, image_format, owner, group)
        except CloudError as error:
            log.warning("import refused", file=path.name, reason=error.message)
            refused.append(f"{path.name}: {error.message}")
    if refused:
        raise InvalidInput("not imported: " + "; ".join(refused), files=len(refused))


def _import(
    cloud: Cloud, kind: Kind, path: Path, image_format: str, owner: str, group: str
) -> None:
    stem = _FORBIDDEN.sub("_", path.stem)[:_LONGEST_STEM]
    with cloud.database.transaction() as session:
        image = service.create(
            session, kind, name=f"{stem}_{int(time.time())}", owner=owner, group=group
        )
        image_id = image.id
    store = ImageStore(cloud.settings.image_folder)
    file = store.open_incoming(image_id)
    try:
        with path.open("rb") as source:
            while chunk := source.read(_CHUNK_BYTES):
                file.write(memoryview(chunk))
        file.flush_to_disk()
        virtual_size_bytes = inspect(file.path, image_format, cloud.settings.max_disk_bytes)
        with cloud.database.transaction() as session:
            service.finish_upload(
                session,
                kind,
                image_id,
                image_format=image_format,
                size_bytes=file.size_bytes,
                virtual_size_bytes=virtual_size_bytes,
                sha1=file.sha1,
                sha256=file.sha256,
            )
            file.publish(store.path_of(image_id, image_format))
    except BaseException:
        with cloud.database.transaction() as session:
            service.delete(session, kind, image_id, in_use=lambda _session, _id: ())
        raise
    finally:
        file.discard()
    path.unlink()
    log.info("image imported", image=image_id, file=path.name)


def _forget_vanished(cloud: Cloud, kind: Kind) -> None:
    store = ImageStore(cloud.settings.image_folder)
    with cloud.database.transaction() as session:
        ready = session.scalars(select(Image).where(Image.kind == kind, Image.created)).all()
        for image in ready:
            if not store.path_of(image.id, image.format).is_file():
                log.warning("image forgotten: its file is gone", image=image.id, name=image.name)
                session.delete(image)
