# SPDX-License-Identifier: Apache-2.0
"""Guests: checked, placed and looked up. Jobs do the rest."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nano_api.address_pools import service as address_pools
from nano_api.cloud import Cloud
from nano_api.compute_pools import service as compute_pools
from nano_api.errors import CloudError, Conflict, InvalidInput, JobFailed, NotFound
from nano_api.guests import allocation, cloud_init
from nano_api.guests.cloud_init import CloudInitIn
from nano_api.guests.limits import QosIn, all_limits
from nano_api.guests.scheduling import Demand, pick_cell
from nano_api.guests.tables import Guest
from nano_api.images import service as images
from nano_api.images.tables import Image
from nano_api.jobs import service as jobs
from nano_api.jobs.service import Requester, Subject
from nano_api.jobs.tables import Job
from nano_api.naming import check_guest_word
from nano_api.security_policies import service as policy_groups
from nano_api.settings import Settings
from nano_api.templates import service as templates

MODULES = ("qemu", cloud_init.MODULE)
_SMALLEST_MEMORY_BYTES = 16 << 20
_SMALLEST_DISK_BYTES = 1 << 20
_MOST_DISKS = 8


@dataclass(frozen=True)
class GuestOrder:
    """What a client wants created, as it was sent; ``name`` without the group."""

    name: str
    owner: str
    group: str
    pool: str
    cores: int
    memory_bytes: int
    disks: Sequence[int]
    auto_start: bool
    image_id: str
    template_id: str
    modules: Sequence[str]
    qos: QosIn | None = None
    policy_group: str = ""
    cloud_init: CloudInitIn | None = None


def create(
    session: Session, cloud: Cloud, order: GuestOrder, requester: Requester
) -> tuple[Guest, Job]:
    """Place a guest and submit the job that makes it.

    :raises CloudError: the first thing that is wrong; nothing was allocated
    """
    guest = place(session, cloud, order)
    job = submit(session, "guest_create", guest, requester)
    guest.job_id = job.id
    return guest, job


def place(session: Session, cloud: Cloud, order: GuestOrder) -> Guest:
    """The row of a new guest, with its cell, MAC, port and secret. The caller submits the job.

    :raises CloudError: the first thing that is wrong; nothing was allocated
    """
    _check(order, cloud.settings)
    limits = all_limits(order.qos)
    policy = _policy(session, order.policy_group)
    pool = compute_pools.get(session, order.pool)
    template = templates.get_template(session, order.template_id)
    setup = cloud_init.setup_of(order.cloud_init, list(order.modules), template)
    full_name = f"{order.group}.{order.name}"
    _check_name_is_free(session, order.pool, full_name)
    if order.image_id:
        _check_image(session, order)
    demand = Demand(order.cores, order.memory_bytes, sum(order.disks))
    cell = pick_cell(
        allocation.candidates(session, order.pool), demand, cloud.settings.busy_cpu_percent
    )
    guest = Guest(
        id=str(uuid.uuid4()),
        name=full_name,
        owner=order.owner,
        group=order.group,
        pool=order.pool,
        cell=cell,
        cores=order.cores,
        memory_bytes=order.memory_bytes,
        disks=list(order.disks),
        template_id=template.id,
        hardware={
            "operating_system": template.operating_system,
            "disk": template.disk,
            "network": template.network,
            "display": template.display,
            "control": template.control,
            "usb": template.usb,
            "tablet": template.tablet,
        },
        image_id=order.image_id or None,
        modules=_modules(order, setup is not None),
        limits=limits,
        policy=policy,
        auto_start=order.auto_start,
        mac=allocation.free_mac(session),
        display_port=allocation.free_display_port(session, cell),
        monitor_secret_sealed=cloud.secrets.seal(allocation.new_monitor_secret()),
        admin_name=setup.admin_name if setup else template.admin,
        admin_secret_sealed=cloud.secrets.seal(setup.admin_secret) if setup else None,
        cloud_init=setup.stored if setup else {},
    )
    session.add(guest)
    session.flush()
    if pool.network:
        guest.allocated_address = address_pools.allocate(session, pool.network, guest.id)
    return guest


def remove(session: Session, guest_id: str, *, force: bool, requester: Requester) -> Job:
    """Submit the job that deletes a guest.

    :raises Conflict: it runs and ``force`` is not given
    """
    guest = get(session, guest_id)
    if guest.running and not force:
        raise Conflict(f"instance '{guest.id}' is still running", guest=guest.id)
    job = submit(session, "guest_delete", guest, requester, {"force": force})
    guest.state = "deleting"
    return job


def set_power(
    session: Session,
    guest_id: str,
    power_state: str,
    *,
    force: bool,
    requester: Requester,
    boot_image: str = "",
) -> Job:
    """Submit the job that starts, stops, reboots or resets a guest.

    ``power_state``: ``running``, ``stopped``, ``rebooted`` or ``reset``. ``boot_image`` is the
    media image that it boots from in this run.

    :raises Conflict: it is in that state, or not in one from which it gets there
    """
    guest = get(session, guest_id)
    if guest.state != "created":
        raise Conflict(f"instance '{guest.id}' is not ready ({guest.state})", guest=guest.id)
    if power_state == "running" and guest.running:
        raise Conflict(f"instance '{guest.id}' already started", guest=guest.id)
    if power_state != "running" and not guest.running:
        raise Conflict(f"instance '{guest.id}' already stopped", guest=guest.id)
    parameters = {"power_state": power_state, "force": force}
    if boot_image:
        parameters["boot_image"] = images.get_ready_image(session, "media", boot_image).id
    return submit(session, "guest_power", guest, requester, parameters)


def get(session: Session, guest_id: str) -> Guest:
    """:raises NotFound: no such guest"""
    guest = session.get(Guest, guest_id)
    if guest is None or guest.state == "failed":
        raise NotFound(f"invalid guest '{guest_id}'", guest=guest_id)
    return guest


def take_failure(session: Session, guest_id: str) -> CloudError | None:
    """Why a guest could not be created. Told once: the guest does not exist afterwards."""
    guest = session.get(Guest, guest_id)
    if guest is None or guest.state != "failed":
        return None
    session.delete(guest)
    return JobFailed(guest.error_code or "internal", guest.error_message or "creation failed")


def guests_being_created_from(session: Session, image_id: str) -> list[str]:
    """Names of guests that still need the image's file."""
    query = select(Guest.name).where(Guest.image_id == image_id, Guest.state == "creating")
    resetting = (
        select(Guest.name, Job.parameters)
        .join(Job, Job.id == Guest.job_id)
        .where(Guest.state == "resetting")
    )
    reset = [name for name, with_ in session.execute(resetting) if with_["image"] == image_id]
    return [*session.scalars(query), *reset]


def submit(
    session: Session,
    operation: str,
    guest: Guest,
    requester: Requester,
    parameters: dict[str, Any] | None = None,
) -> Job:
    """Submit a job about one guest. ``parameters`` is stored in clear."""
    return jobs.submit(
        session,
        operation,
        subject=Subject("guest", guest.id, guest.name),
        cells=[guest.cell],
        requester=requester,
        parameters=parameters,
    )


def _check(order: GuestOrder, settings: Settings) -> None:
    """What can be refused without looking anything up; messages are Nano's where it has one."""
    check_guest_word(order.name, "name")
    check_guest_word(order.owner, "owner")
    check_guest_word(order.group, "group")
    if not order.pool:
        raise InvalidInput("pool required", field="pool")
    if not order.template_id:
        raise InvalidInput("system template required", field="template")
    check_cores(order.cores, settings)
    check_memory(order.memory_bytes, settings)
    if not order.disks:
        raise InvalidInput("must specify disk size", field="disks")
    if len(order.disks) > _MOST_DISKS:
        raise InvalidInput(f"disks: at most {_MOST_DISKS} are possible", field="disks")
    for index, size in enumerate(order.disks):
        check_disk(f"disks[{index}]", size, settings)
    for module in order.modules:
        if module not in MODULES:
            raise InvalidInput(f"invalid module '{module[:80]}'", field="modules")


def check_cores(cores: int, settings: Settings) -> None:
    """1 or an even number, within the limit; the message is Nano's, its "even" means odd."""
    if cores > 1 and cores % 2:
        raise InvalidInput(f"even core number ( {cores} ) is not allowed", field="cores")
    _check_range("cores", cores, 1, settings.max_cores)


def check_memory(memory_bytes: int, settings: Settings) -> None:
    """:raises InvalidInput: too little or too much"""
    _check_range("memory", memory_bytes, _SMALLEST_MEMORY_BYTES, settings.max_memory_bytes)


def check_disk(field: str, size_bytes: int, settings: Settings) -> None:
    """:raises InvalidInput: too small or too large; ``field`` is how the message calls it"""
    _check_range(field, size_bytes, _SMALLEST_DISK_BYTES, settings.max_disk_bytes)


def _check_range(field: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise InvalidInput(f"{field} must be {lowest} to {highest}, not {value}", field=field)


def _check_name_is_free(session: Session, pool: str, name: str) -> None:
    same = session.scalar(select(Guest).where(Guest.pool == pool, Guest.name == name))
    if same is None:
        return
    if same.state == "failed":
        session.delete(same)  # nobody asked for the reason, and the name is wanted again
        session.flush()
        return
    raise Conflict(f"instance '{name}' already exists in pool '{pool}'", name=name, pool=pool)


def _modules(order: GuestOrder, with_cloud_init: bool) -> list[str]:
    """The modules, with the one that the order's other fields ask for."""
    added = [cloud_init.MODULE] if with_cloud_init else []
    return list(dict.fromkeys([*order.modules, *added]))


def _policy(session: Session, group_id: str) -> dict[str, Any]:
    """A copy of a group's policy for a new guest's row; empty without a group."""
    if not group_id:
        return {}
    action, rules = policy_groups.policy_to_copy(session, group_id)
    return {"default_action": action, "rules": [rule.stored() for rule in rules]}


def _check_image(session: Session, order: GuestOrder) -> None:
    check_image_fits(images.get_ready_image(session, "disk", order.image_id), order.disks[0])


def check_image_fits(image: Image, system_disk_bytes: int) -> None:
    """:raises InvalidInput: the system disk is smaller than its image"""
    if image.virtual_size_bytes > system_disk_bytes:
        size = image.virtual_size_bytes / (1 << 30)
        raise InvalidInput(
            f"source image ({size:.2f} GB) larger than system disk "
            f"({system_disk_bytes / (1 << 30):.2f} GB)",
            field="disks",
        )
