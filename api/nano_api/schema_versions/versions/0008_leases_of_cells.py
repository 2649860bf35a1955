# SPDX-License-Identifier: Apache-2.0
"""leases of cells on shared storage"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this version."""
    with op.batch_alter_table("cells") as cells:
        cells.add_column(
            sa.Column("lease", sa.String(length=16), nullable=False, server_default="")
        )


def downgrade() -> None:
    """Take this version back."""
    with op.batch_alter_table("cells") as cells:
        cells.drop_column("lease")
