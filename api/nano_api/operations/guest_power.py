# SPDX-License-Identifier: Apache-2.0
"""Start, stop, reboot or reset a guest."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.jobs.tables import Job
from nano_api.operations.base import Operation, Outcome, RunVariables, result_of
from nano_api.operations.guest_observation import observed_guest, store_observed
from nano_api.operations.guest_playbooks import POWER, READ
from nano_api.operations.guest_variables import image_source


def variables(session: Session, cloud: Cloud, job: Job) -> RunVariables:
    """The wanted state (``running``, ``stopped``, ``rebooted``, ``reset``), and how hard to try.

    With ``boot_image`` also where the cell gets the medium that the guest boots from.
    """
    found: dict[str, Any] = {
        "nano_guest": {"id": job.subject_id},
        "nano_power_state": job.parameters["power_state"],
        "nano_force": bool(job.parameters.get("force", False)),
        "nano_timeout_seconds": cloud.settings.stop_timeout_seconds,
    }
    if not job.parameters.get("boot_image"):
        return RunVariables(found)
    pool = session.get_one(Guest, job.subject_id).pool
    image_id = job.parameters["boot_image"]
    found["nano_image"], ticket = image_source(session, cloud, image_id, pool, "media")
    return RunVariables(found, (ticket,))


def apply(session: Session, _cloud: Cloud, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """Whatever happened, the row says what is there."""
    guest = session.get_one(Guest, job.subject_id)
    found = observed_guest(outcome, guest.id)
    if found is not None:
        store_observed(guest, found)
    return result_of(job, outcome)


# A reboot or reset is not repeated after a crash of ours: the guest may have had it already.
GUEST_POWER = Operation(
    name="guest_power",
    playbook=POWER,
    settle=READ,
    resume="settle",
    variables=variables,
    apply=apply,
)
