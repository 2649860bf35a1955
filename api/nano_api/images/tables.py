# SPDX-License-Identifier: Apache-2.0
"""Images: of disks, which system disks are made from, and of media, which guests read as CDs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import BigInteger, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.database import Base

#: What an image is for.
Kind = Literal["disk", "media"]


class Image(Base):
    """An image; until ``created`` it has no file, and the fields about the file are empty."""

    __tablename__ = "images"
    __table_args__ = (UniqueConstraint("kind", "group", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(default="disk")  # Kind
    name: Mapped[str]
    owner: Mapped[str] = mapped_column(index=True)
    group: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    tags: Mapped[list[str]]
    created: Mapped[bool] = mapped_column(default=False)
    format: Mapped[str] = mapped_column(default="")  # qcow2 | raw | iso
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    virtual_size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    sha1: Mapped[str] = mapped_column(default="")
    sha256: Mapped[str] = mapped_column(default="")
    #: Content-Length of the newest upload, 0 when the client did not say: what progress is of.
    expected_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    #: The job that makes it of a guest's disk; None of an image that is uploaded.
    job_id: Mapped[str | None] = mapped_column(String(36))
    #: Why that failed: told once, then the row goes.
    error_code: Mapped[str | None] = mapped_column(String(32))
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]
