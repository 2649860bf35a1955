# SPDX-License-Identifier: Apache-2.0
"""The playbooks about one guest, with the tasks that count for progress."""

from __future__ import annotations

from nano_api.jobs.progress import Step
from nano_api.operations.base import Playbook

READ_BACK = "Read the guest back"

CREATE = Playbook(
    "guest_create.yml",
    (
        Step("Check the cell", 5, changes=False),
        Step("Fetch the image", 60),
        Step("Make the guest", 20),
        Step("Start the guest", 10),
        Step(READ_BACK, 5, changes=False),
    ),
    READ_BACK,
)

DELETE = Playbook(
    "guest_delete.yml",
    (Step("Remove the guest", 90), Step(READ_BACK, 10, changes=False)),
    READ_BACK,
)

CHANGE = Playbook(
    "guest_change.yml",
    (Step("Change the guest", 90), Step(READ_BACK, 10, changes=False)),
    READ_BACK,
)

POWER = Playbook(
    "guest_power.yml",
    (
        Step("Fetch the medium", 40),
        Step("Set the power state", 50),
        Step(READ_BACK, 10, changes=False),
    ),
    READ_BACK,
)

READ = Playbook("guest_read.yml", (Step(READ_BACK, 100, changes=False),), READ_BACK)
