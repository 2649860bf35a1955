# SPDX-License-Identifier: Apache-2.0
"""Drift and unknown guests on the wire."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from nano_api.clock import wire_time
from nano_api.drift.service import Drift, UnknownGuest
from nano_api.envelope import WireModel

from ansible_collections.nano.cloud.plugins.module_utils import domain_xml  # isort: skip


class DifferenceOut(BaseModel):
    """One field of a guest."""

    field: str = Field(description="an option of the module nano.cloud.guest; parts after a dot")
    wanted: Any
    found: Any


class DriftOut(BaseModel):
    """A guest that is not as it is wanted."""

    guest: str = Field(description="id")
    name: str
    pool: str
    cell: str
    missing: bool = Field(description="its cell does not have it at all")
    fields: list[DifferenceOut]
    seen_at: str | None = None

    @classmethod
    def of(cls, drift: Drift) -> DriftOut:
        """The wire's form."""
        return cls(
            guest=drift.guest.id,
            name=drift.guest.name,
            pool=drift.guest.pool,
            cell=drift.guest.cell,
            missing=drift.missing,
            fields=[
                DifferenceOut(field=each.field, wanted=each.wanted, found=each.found)
                for each in drift.differences
            ],
            seen_at=wire_time(drift.definition.seen_at),
        )


class UnknownGuestOut(BaseModel):
    """A domain that no guest stands for."""

    cell: str
    id: str
    name: str
    running: bool
    auto_start: bool
    cores: int
    memory: int
    disks: int = Field(description="their number")
    owner: str = Field(description="from metadata of ours, if it has any; as group")
    group: str
    copy_of_guest: bool = Field(description="a guest of another cell has its id")
    seen_at: str | None = None

    @classmethod
    def of(cls, unknown: UnknownGuest) -> UnknownGuestOut:
        """The wire's form."""
        row, spec = unknown.definition, domain_xml.parse(unknown.definition.xml)
        return cls(
            cell=row.cell,
            id=row.guest_id,
            name=row.name,
            running=row.running,
            auto_start=row.auto_start,
            cores=spec.cores,
            memory=spec.memory_bytes,
            disks=len(spec.disks),
            owner=spec.owner,
            group=spec.group,
            copy_of_guest=unknown.copy,
            seen_at=wire_time(row.seen_at),
        )


class Adoption(WireModel):
    """Whose guest it becomes."""

    owner: str = ""
    group: str = ""
