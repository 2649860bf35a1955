# SPDX-License-Identifier: Apache-2.0
"""Every operation by its name. A job's row names one of these."""

from __future__ import annotations

from nano_api.operations.base import Operation
from nano_api.operations.cell_assign import CELL_ASSIGN, CELL_RELEASE
from nano_api.operations.cell_failover import CELL_FAILOVER, CELL_LEASE
from nano_api.operations.guest_auth import GUEST_AUTH
from nano_api.operations.guest_batches import GUESTS_CREATE, GUESTS_DELETE, GUESTS_STOP
from nano_api.operations.guest_change import GUEST_CHANGE
from nano_api.operations.guest_create import GUEST_CREATE
from nano_api.operations.guest_delete import GUEST_DELETE
from nano_api.operations.guest_disk import GUEST_DISK
from nano_api.operations.guest_drift import GUEST_ACCEPT, GUEST_ADOPT, GUEST_DEFINE
from nano_api.operations.guest_media import GUEST_MEDIA
from nano_api.operations.guest_migrate import GUEST_MIGRATE
from nano_api.operations.guest_policy import GUEST_POLICY
from nano_api.operations.guest_power import GUEST_POWER
from nano_api.operations.guest_snapshots import (
    SNAPSHOT_CREATE,
    SNAPSHOT_DELETE,
    SNAPSHOT_RESTORE,
)
from nano_api.operations.image_capture import IMAGE_CAPTURE

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        CELL_ASSIGN,
        CELL_RELEASE,
        CELL_FAILOVER,
        CELL_LEASE,
        GUESTS_CREATE,
        GUESTS_DELETE,
        GUESTS_STOP,
        GUEST_ACCEPT,
        GUEST_ADOPT,
        GUEST_AUTH,
        GUEST_CHANGE,
        GUEST_CREATE,
        GUEST_DEFINE,
        GUEST_DELETE,
        GUEST_DISK,
        GUEST_MEDIA,
        GUEST_MIGRATE,
        GUEST_POLICY,
        GUEST_POWER,
        IMAGE_CAPTURE,
        SNAPSHOT_CREATE,
        SNAPSHOT_DELETE,
        SNAPSHOT_RESTORE,
    )
}
