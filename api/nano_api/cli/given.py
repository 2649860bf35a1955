# SPDX-License-Identifier: Apache-2.0
"""Settings from a command line, the environment and the data folder's file."""

from __future__ import annotations

from typing import Any

import typer
from pydantic import ValidationError

from nano_api.settings import Settings


def settings_from(**given: Any) -> Settings:
    """The settings; what was not given comes from elsewhere.

    :raises typer.BadParameter: one is wrong; names it
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        where = f"setting '{name}': " if name else ""
        raise typer.BadParameter(f"{where}{first['msg']}") from None
