# SPDX-License-Identifier: Apache-2.0
"""Names that belong to one lab of one checkout, and to no other on this machine.

Everything the lab makes outside its state directory carries `lab_id`, so that `down` finds it
again without any record: bridges (as their alias), firewall rules (as a comment), control
groups, container names.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabError

MARK = "nano-cloud-lab"
RUN_DIRECTORY = Path("/run/nano-cloud-lab")
SPARE_DIRECTORY = Path("/var/lib/nano-cloud-lab")
DEFAULT_INSTANCE = "main"
MAX_CELLS = 99
# The storage server is one more machine of the lab, numbered beyond the cells.
STORAGE_NAME = "storage1"
STORAGE_NUMBER = MAX_CELLS + 1
CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Identity:
    """What a lab is called; `instance` separates several labs of one checkout."""

    checkout: Path
    instance: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", self.instance):
            raise LabError(
                f"The instance name {self.instance!r} may only have lower-case letters, digits "
                "and hyphens, 31 at most."
            )

    @property
    def lab_id(self) -> str:
        """Sixteen hexadecimal digits that stand for the checkout's path and the instance."""
        text = f"{self.checkout}\0{self.instance}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def state_directory(self) -> Path:
        name = "lab" if self.instance == DEFAULT_INSTANCE else f"lab-{self.instance}"
        return self.checkout / "var" / name

    @property
    def spare_directory(self) -> Path:
        """Where cells' disks go when the checkout's filesystem cannot carry an overlay."""
        return SPARE_DIRECTORY / self.lab_id

    @property
    def mark(self) -> str:
        """The text that bridges' aliases and firewall rules' comments carry."""
        return f"{MARK} {self.lab_id}"

    @property
    def group_prefix(self) -> str:
        """Start of the names of this lab's control groups and containers."""
        return f"nano-lab-{self.lab_id}-"

    def machine_name(self, cell_name: str) -> str:
        return f"{self.group_prefix}{cell_name}"


def cell_name(number: int) -> str:
    """Return the name of a cell by its number from 1, or that of the storage server."""
    return STORAGE_NAME if number == STORAGE_NUMBER else f"cell{number}"


def cell_number(name: str) -> int:
    """Return the number of a machine; raises LabError for a name that no lab gives."""
    if name == STORAGE_NAME:
        return STORAGE_NUMBER
    match = re.fullmatch(r"cell([1-9][0-9]?)", name)
    if not match:
        raise LabError(f"There is no cell {name!r}: cells are named cell1, cell2 and so on.")
    return int(match[1])
