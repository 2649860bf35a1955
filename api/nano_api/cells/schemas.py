# SPDX-License-Identifier: Apache-2.0
"""Cells on the wire."""

from __future__ import annotations

from pydantic import BaseModel

from nano_api.cells.service import Attachment
from nano_api.cells.tables import Cell
from nano_api.envelope import WireModel


class CellOut(BaseModel):
    """A cell; ``alive`` is False while it does not answer."""

    name: str
    address: str
    enabled: bool
    alive: bool

    @classmethod
    def of(cls, cell: Cell) -> CellOut:
        """The wire's form of a row."""
        return cls(name=cell.name, address=cell.address, enabled=cell.enabled, alive=cell.alive)


class StorageOut(BaseModel):
    """Shared storage on a cell; ``error`` says why it is not attached."""

    name: str
    attached: bool
    error: str | None = None


class CellDetail(CellOut):
    """A cell with its shared storage, which only one that is alive and enabled shows."""

    storage: list[StorageOut] | None = None

    @classmethod
    def with_storage(cls, cell: Cell, attachments: list[Attachment] | None) -> CellDetail:
        """The wire's form of a row and what is attached there."""
        if attachments is None:
            return cls(**CellOut.of(cell).model_dump())
        storage = [
            StorageOut(name=each.name, attached=each.attached, error=each.error or None)
            for each in attachments
        ]
        return cls(**CellOut.of(cell).model_dump(), storage=storage)


class CellEnable(WireModel):
    """Whether the cell may get new guests."""

    enable: bool = False
