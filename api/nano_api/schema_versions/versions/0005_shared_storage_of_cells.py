# SPDX-License-Identifier: Apache-2.0
"""whether cells have their compute pool's shared storage"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this version."""
    with op.batch_alter_table("cells") as cells:
        cells.add_column(
            sa.Column("storage_attached", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        cells.add_column(sa.Column("storage_problem", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take this version back."""
    with op.batch_alter_table("cells") as cells:
        cells.drop_column("storage_problem")
        cells.drop_column("storage_attached")
