# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: runs the versions on the engine that it is given."""

from __future__ import annotations

from alembic import context

from nano_api.tables import metadata

config = context.config

with config.attributes["engine"].connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
