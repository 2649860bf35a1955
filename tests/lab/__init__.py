# SPDX-License-Identifier: Apache-2.0
"""A machine room on one machine: cells as containers, their networks, and a tiny guest image.

For example::

    from tests.lab import Lab

    lab = Lab(instance="test")
    lab.up(2)
    lab.cells[0].run(["hostname"])
    lab.down()
"""

from tests.lab.cell import Cell
from tests.lab.errors import LabError
from tests.lab.lab import Lab

__all__ = ["Cell", "Lab", "LabError"]
