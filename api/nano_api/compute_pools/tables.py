# SPDX-License-Identifier: Apache-2.0
"""Compute pools: cells that guests are scheduled onto."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.database import Base


class ComputePool(Base):
    """A pool; ``storage`` and ``network`` are ``""`` for local storage and no address pool."""

    __tablename__ = "compute_pools"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    enabled: Mapped[bool] = mapped_column(default=True)
    storage: Mapped[str] = mapped_column(String(128), default="")
    network: Mapped[str] = mapped_column(String(128), default="")
    failover: Mapped[bool] = mapped_column(default=False)
