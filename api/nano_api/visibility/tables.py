# SPDX-License-Identifier: Apache-2.0
"""What the members of a group see of each other's."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.database import Base


class ResourceVisibility(Base):
    """The flags of one group; a group without a row shows nothing."""

    __tablename__ = "resource_visibilities"

    group: Mapped[str] = mapped_column(
        ForeignKey("user_groups.name", ondelete="CASCADE"), primary_key=True
    )
    instance: Mapped[bool] = mapped_column(default=False)
    disk_image: Mapped[bool] = mapped_column(default=False)
    media_image: Mapped[bool] = mapped_column(default=False)
