# SPDX-License-Identifier: Apache-2.0
"""administrators of guests, and what cloud-init is to do there"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this version."""
    with op.batch_alter_table("guests") as guests:
        guests.add_column(sa.Column("admin_name", sa.String(length=64), nullable=True))
        guests.add_column(sa.Column("admin_secret_sealed", sa.Text(), nullable=True))
        # Guests that are there already have no cloud-init.
        guests.add_column(sa.Column("cloud_init", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    """Take this version back."""
    with op.batch_alter_table("guests") as guests:
        guests.drop_column("cloud_init")
        guests.drop_column("admin_secret_sealed")
        guests.drop_column("admin_name")
