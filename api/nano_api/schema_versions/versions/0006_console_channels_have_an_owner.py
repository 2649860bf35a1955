# SPDX-License-Identifier: Apache-2.0
"""console channels have an owner and a type"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this version. Channels live for seconds: those of before have ended."""
    op.execute("DELETE FROM console_channels")
    with op.batch_alter_table("console_channels", schema=None) as batch_op:
        batch_op.add_column(sa.Column("type", sa.String(length=8), nullable=False))
        batch_op.add_column(sa.Column("takes_over", sa.Boolean(), nullable=False))
        batch_op.add_column(sa.Column("opened_by", sa.String(length=64), nullable=False))


def downgrade() -> None:
    """Take this version back."""
    with op.batch_alter_table("console_channels", schema=None) as batch_op:
        batch_op.drop_column("opened_by")
        batch_op.drop_column("takes_over")
        batch_op.drop_column("type")
