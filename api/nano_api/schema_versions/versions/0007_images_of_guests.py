# SPDX-License-Identifier: Apache-2.0
"""images that are made of guests"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this version."""
    with op.batch_alter_table("images") as batch:
        batch.add_column(sa.Column("job_id", sa.String(length=36), nullable=True))
        batch.add_column(sa.Column("error_code", sa.String(length=32), nullable=True))
        batch.add_column(sa.Column("error_message", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take this version back."""
    with op.batch_alter_table("images") as batch:
        for name in ("error_message", "error_code", "job_id"):
            batch.drop_column(name)
