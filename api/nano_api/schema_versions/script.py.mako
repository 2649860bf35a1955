# SPDX-License-Identifier: Apache-2.0
"""${message}"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
import nano_api.database
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this version."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Take this version back."""
    ${downgrades if downgrades else "pass"}
