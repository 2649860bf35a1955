# SPDX-License-Identifier: Apache-2.0
"""definitions as they are on the cells, and what several observing processes share"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import nano_api.database

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this version."""
    op.create_table(
        "guest_definitions",
        sa.Column("cell", sa.String(length=128), nullable=False),
        sa.Column("guest_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("xml", sa.Text(), nullable=False),
        sa.Column("auto_start", sa.Boolean(), nullable=False),
        sa.Column("running", sa.Boolean(), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("seen_at", nano_api.database.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["cell"], ["cells.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("cell", "guest_id"),
    )
    op.create_index("ix_guest_definitions_guest_id", "guest_definitions", ["guest_id"])
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("until", nano_api.database.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "cell_figures",
        sa.Column("cell", sa.String(length=128), nullable=False),
        sa.Column("at", nano_api.database.UtcDateTime(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["cell"], ["cells.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("cell"),
    )


def downgrade() -> None:
    """Take this version back."""
    op.drop_table("cell_figures")
    op.drop_table("leases")
    op.drop_index("ix_guest_definitions_guest_id", "guest_definitions")
    op.drop_table("guest_definitions")
