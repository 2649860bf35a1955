# SPDX-License-Identifier: Apache-2.0
"""What several API processes share: who observes, and what it sees."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.database import Base


class Lease(Base):
    """A duty that one process has at a time, until it stops renewing it."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))
    until: Mapped[datetime]


class CellFigures(Base):
    """The newest figures of a cell and its guests, for processes that do not observe."""

    __tablename__ = "cell_figures"

    cell: Mapped[str] = mapped_column(
        ForeignKey("cells.name", ondelete="CASCADE"), primary_key=True
    )
    at: Mapped[datetime]
    #: As ``live.figures`` packs it.
    data: Mapped[dict[str, Any]]
