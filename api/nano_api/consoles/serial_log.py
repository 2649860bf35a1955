# SPDX-License-Identifier: Apache-2.0
"""The end of what a guest has written to its serial console, read from its cell."""

from __future__ import annotations

from dataclasses import dataclass

from nano_api.cells.tables import Cell
from nano_api.consoles.streams import Doors
from nano_api.errors import NoAnswerInTime, NotFound, Unreachable

from ansible_collections.nano.cloud.plugins.module_utils.names import serial_log_path  # isort: skip

LONGEST_BYTES = 64 << 10
_SECONDS = 20.0
_NO_LOG = 3
#: The log is turned over when it is large; its end may begin in the file before.
_READ = f"""
[ -e "$1" ] || exit {_NO_LOG}
for file in "$1.0" "$1"; do [ ! -e "$file" ] || tail -c {LONGEST_BYTES + 1} "$file"; done |
  tail -c {LONGEST_BYTES + 1}
"""


@dataclass(frozen=True)
class SerialLog:
    """``text``: the end of the log. ``cut``: there was more before it."""

    text: str
    cut: bool


async def read_serial_log(doors: Doors, cell: Cell, guest_id: str) -> SerialLog:
    """The last 64 KiB.

    :raises NotFound: there is no log: the guest has not run on this cell yet
    :raises Unreachable: the cell does not let us in
    :raises NoAnswerInTime: the cell is silent
    """
    path = serial_log_path(guest_id)
    try:
        status, output, complaint = await doors.read(
            cell, "sh", "-c", _READ, "sh", path, seconds=_SECONDS
        )
    except TimeoutError:
        raise NoAnswerInTime(
            f"cell '{cell.name}' has not answered for {_SECONDS:.0f} s", cell=cell.name
        ) from None
    except OSError as error:
        raise Unreachable(f"cannot reach cell '{cell.name}': {error}", cell=cell.name) from None
    if status == _NO_LOG:
        raise NotFound(
            f"guest '{guest_id}' has no serial log on cell '{cell.name}': it is there once the"
            " guest has run",
            guest=guest_id,
        )
    if status != 0:
        said = complaint.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"exit status {status}"
        raise Unreachable(
            f"cannot read the serial log on cell '{cell.name}': {reason}", cell=cell.name
        )
    text = output[-LONGEST_BYTES:].decode(errors="replace")
    return SerialLog(text=text, cut=len(output) > LONGEST_BYTES)
