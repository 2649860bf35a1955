# SPDX-License-Identifier: Apache-2.0
"""bytes need more than 32 bits, which only PostgreSQL's integers are limited to"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = {
    "cells": ("memory_bytes", "memory_available_bytes", "disk_bytes", "disk_available_bytes"),
    "guests": ("memory_bytes",),
}


def upgrade() -> None:
    """Apply this version."""
    if op.get_bind().dialect.name == "sqlite":
        return  # its integers have 64 bits, whatever they are called
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.alter_column(table, column, type_=sa.BigInteger(), existing_nullable=False)
