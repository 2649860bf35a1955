# SPDX-License-Identifier: Apache-2.0
"""``nanoctl backup`` and ``nanoctl restore``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from nano_api.backup.archive import back_up, restore
from nano_api.cli.given import settings_from
from nano_api.clock import now
from nano_api.errors import CloudError

_PREFIX, _SUFFIX = "nano-cloud-", ".tar.gz"

_Data = Annotated[
    Path,
    typer.Option(envvar="NANO_DATA", help="The service's data folder."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("backup")(_backup)
    app.command("restore")(_restore)


def _backup(
    file: Annotated[
        Path, typer.Argument(help="The new file, or a folder where one is named by the time.")
    ],
    data: _Data,
    images: Annotated[bool, typer.Option(help="Also the images' files.")] = False,
    keep: Annotated[
        int, typer.Option(min=1, help="In a folder: how many to keep, the newest ones.")
    ] = 10_000,
) -> None:
    """Write database, keys and settings into one file (mode 0600). The service may go on.

    Whoever has the file can read the secrets in it: keep it where only you can look.

    Example: nanoctl backup --data /var/lib/nano-cloud /srv/backup/nano.tar.gz
    """
    os.umask(0o077)
    settings = settings_from(data=data)
    folder = file if file.is_dir() else None
    if folder is not None:
        file = folder / f"{_PREFIX}{now():%Y%m%dT%H%M%S%f}{_SUFFIX}"
    try:
        manifest = back_up(settings, file.absolute(), with_images=images)
    except (CloudError, OSError) as error:
        typer.echo(f"nanoctl: {error}", err=True)
        raise typer.Exit(1) from None
    size_mib = file.stat().st_size / (1 << 20)
    images_too = "" if manifest.with_images else ", without images"
    typer.echo(f"{file}: {manifest.database} database and keys{images_too}, {size_mib:.1f} MiB")
    if folder is not None:
        for old in sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}"), reverse=True)[keep:]:
            old.unlink()
            typer.echo(f"{old}: deleted, {keep} newer ones are there")


def _restore(
    file: Annotated[Path, typer.Argument(help="A file that `nanoctl backup` made.")],
    data: _Data,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Back up the data that are there, and replace them."),
    ] = False,
) -> None:
    """Put a backup back. The service must be down; an empty data folder is the usual case.

    Jobs that had not ended when the backup was made are not repeated: cells are only read.

    Example: nanoctl restore --data /var/lib/nano-cloud /srv/backup/nano.tar.gz
    """
    os.umask(0o077)
    settings = settings_from(data=data)
    try:
        manifest, before = restore(settings, file, replace=replace)
    except (CloudError, OSError) as error:
        typer.echo(f"nanoctl: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"restored what {manifest.made_by} saved at {manifest.made_at}")
    if before:
        typer.echo(f"what was there before is in {before}")
    if not manifest.with_images:
        typer.echo("the backup has no images: those in the data folder are as they were")
