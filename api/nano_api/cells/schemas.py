# SPDX-License-Identifier: Apache-2.0
"""Cells on the wire."""

from __future__ import annotations

from pydantic import BaseModel

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


class CellEnable(WireModel):
    """Whether the cell may get new guests."""

    enable: bool = False
