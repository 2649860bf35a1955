# SPDX-License-Identifier: Apache-2.0
"""Pages of guests are read from an index."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_COLUMNS = [
    "name",
    "id",
    "owner",
    "group",
    "state",
    "pool",
    "cell",
    "allocated_address",
    "network_address",
]


def upgrade() -> None:
    """To this version."""
    op.create_index("ix_guests_listing", "guests", _COLUMNS)


def downgrade() -> None:
    """Back to the version before."""
    op.drop_index("ix_guests_listing", table_name="guests")
