# SPDX-License-Identifier: Apache-2.0
"""``nanoctl``: runs the service, and keeps its data safe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nano_api import __version__
from nano_api.cli import data_commands
from nano_api.cli.given import settings_from
from nano_api.cli.serving import serve_until_told_to_stop
from nano_api.errors import CloudError

app = typer.Typer(
    help="nano-cloud: a private cloud on hosts that already run Linux.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

data_commands.register(app)


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(f"nano-cloud {__version__}")
        raise typer.Exit


@app.command()
def serve(
    data: Annotated[
        Path,
        typer.Option(
            envvar="NANO_DATA",
            help="Folder of the database, images, keys and logs; made if missing.",
        ),
    ],
    inventory: Annotated[
        Path | None,
        typer.Option(help="Ansible inventory (file or folder); its group 'cells' are our hosts."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="TCP port to listen on. Default: 5870.")] = None,
    bind: Annotated[
        list[str] | None,
        typer.Option(help="Address to listen on; may be given again. Default: 127.0.0.1."),
    ] = None,
) -> None:
    """Run the REST API, its workers and its observer, until SIGTERM or Ctrl-C.

    Other settings come from the environment (NANO_...) or from nano.toml in the data folder.
    Cells fetch images from this API, so it must listen on an address that they can reach.

    Example: nanoctl serve --data /var/lib/nano-cloud --inventory hosts.yml --bind 192.0.2.1
    """
    settings = settings_from(data=data, inventory=inventory, bind=bind, port=port)
    if settings.inventory is not None and not settings.inventory.exists():
        raise typer.BadParameter(
            f"no inventory at '{settings.inventory}'", param_hint="--inventory"
        )
    try:
        serve_until_told_to_stop(settings)
    except (CloudError, OSError) as error:
        typer.echo(f"nanoctl: {error}", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
