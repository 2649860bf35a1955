# SPDX-License-Identifier: Apache-2.0
"""The versions of the database schema, and how a database gets to the newest one."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from nano_api.database import Database


def alembic_config(database: Database) -> Config:
    """Alembic's settings, without a file of its own."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("sqlalchemy.url", database.url.replace("%", "%%"))
    config.attributes["engine"] = database.engine
    return config


def upgrade(database: Database) -> None:
    """Bring the database to the newest version; makes the tables of an empty one."""
    command.upgrade(alembic_config(database), "head")


def known_versions() -> frozenset[str]:
    """Every version that this code can start from."""
    return frozenset(
        script.revision for script in ScriptDirectory(str(Path(__file__).parent)).walk_revisions()
    )
