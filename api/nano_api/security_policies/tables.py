# SPDX-License-Identifier: Apache-2.0
"""Security policy groups: rules to copy into guests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from nano_api.clock import now
from nano_api.database import Base


class SecurityPolicyGroup(Base):
    """A named list of rules. A guest gets a copy: what changes here later is for later guests."""

    __tablename__ = "security_policy_groups"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    description: Mapped[str] = mapped_column(String(1024), default="")
    owner: Mapped[str] = mapped_column(String(64), index=True)  # "user" on the wire
    group: Mapped[str] = mapped_column(String(64), index=True)
    enabled: Mapped[bool]
    #: Whether everybody may use it ("global" on the wire).
    is_global: Mapped[bool]
    default_action: Mapped[str] = mapped_column(String(8))  # accept | reject
    #: In the order in which they are tried; each has the fields of ``rules.Rule``.
    rules: Mapped[list[Any]] = mapped_column(default=list)
    created_at: Mapped[datetime] = mapped_column(default=now)
