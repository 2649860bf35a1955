# SPDX-License-Identifier: Apache-2.0
"""Storage pools: shared storage that compute pools may name."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.database import Base


class StoragePool(Base):
    """Shared storage: an export of an NFS server, or a GlusterFS volume."""

    __tablename__ = "storage_pools"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    type: Mapped[str] = mapped_column(String(16))  # nfs, glusterfs
    host: Mapped[str] = mapped_column(String(255))
    target: Mapped[str] = mapped_column(String(1024))
