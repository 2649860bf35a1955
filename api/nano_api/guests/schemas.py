# SPDX-License-Identifier: Apache-2.0
"""Guests on the wire."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from nano_api.clock import wire_time
from nano_api.envelope import WireModel
from nano_api.guests.cloud_init import CloudInitIn
from nano_api.guests.limits import QosIn, QosOut
from nano_api.guests.reading import GuestView
from nano_api.guests.service import GuestOrder
from nano_api.live.figures import CellNow, GuestFigures, is_fresh


class AddressesOut(BaseModel):
    """Where a guest and its display are reached."""

    network_address: str | None = None
    display_address: str | None = None
    allocated_address: str | None = None


class GuestOut(BaseModel):
    """A guest; sizes in bytes, ``name`` is ``group.name``."""

    name: str
    id: str
    created: bool
    progress: int | None = None
    running: bool
    lost: bool | None = None
    owner: str
    group: str
    pool: str
    cell: str
    host: str
    cores: int
    memory: int
    total_disk: int
    disks: list[int]
    auto_start: bool
    system: str
    monitor_secret: str | None = None
    ethernet_address: str
    display_protocol: str
    internal: AddressesOut
    external: AddressesOut = Field(default_factory=AddressesOut)
    create_time: str | None = None
    media_attached: bool | None = None
    qos: QosOut

    @classmethod
    def of(cls, view: GuestView, monitor_secret: str | None = None) -> dict[str, Any]:
        """The wire's form of a guest; the secret is told only where Nano tells it.

        A plain object without what is empty: a list may have thousands, and to make and check a
        model of each would take most of the time of the request.
        """
        guest = view.guest
        created = guest.state in ("created", "deleting")
        return {
            "name": guest.name,
            "id": guest.id,
            "created": created,
            **({} if created else {"progress": view.percent}),
            "running": guest.running,
            **({} if view.cell_alive else {"lost": True}),
            "owner": guest.owner,
            "group": guest.group,
            "pool": guest.pool,
            "cell": guest.cell,
            "host": view.cell_address,
            "cores": guest.cores,
            "memory": guest.memory_bytes,
            "total_disk": sum(guest.disks),
            "disks": guest.disks,
            "auto_start": guest.auto_start,
            "system": guest.hardware["operating_system"],
            **({"monitor_secret": monitor_secret} if monitor_secret is not None else {}),
            "ethernet_address": guest.mac,
            "display_protocol": guest.hardware["control"],
            "internal": _addresses(view),
            "external": {},
            "create_time": wire_time(guest.created_at),
            **({"media_attached": True} if guest.media_id else {}),
            "qos": QosOut.of(guest.limits),
        }


def _addresses(view: GuestView) -> dict[str, str]:
    guest = view.guest
    found = {"display_address": f"{view.cell_address}:{guest.display_port}"}
    if guest.network_address:
        found["network_address"] = guest.network_address
    if guest.allocated_address:
        found["allocated_address"] = guest.allocated_address
    return found


class GuestSearchIn(WireModel):
    """A page of a search; without ``limit`` 20."""

    limit: int = 0
    offset: int = 0
    pool: str = ""
    cell: str = ""
    keyword: str = Field("", description="part of a name or of an address; no spaces")


class GuestPage(BaseModel):
    """A page, and how many there are in all."""

    result: list[GuestOut]
    total: int
    limit: int
    offset: int


class InstanceOut(BaseModel):
    """The running state of a guest."""

    name: str
    id: str
    created: bool
    progress: int | None = None
    running: bool
    lost: bool | None = None
    owner: str
    group: str
    cores: int
    memory: int
    total_disk: int
    disks: list[int]
    auto_start: bool
    system: str
    ethernet_address: str
    display_protocol: str
    internal: AddressesOut
    create_time: str | None = None
    media_attached: bool
    media_source: str | None = Field(None, description="id of the image in the drive")
    cpu_usage: float = Field(description="percent of the guest's own cores")
    memory_available: int = Field(description="bytes, by the guest's balloon driver")
    disk_available: int = Field(description="bytes that the files of its disks may still grow")
    bytes_read: int = Field(description="since its start, as all counters here")
    bytes_written: int
    bytes_received: int
    bytes_sent: int
    stale: bool | None = Field(
        None, description="true: its figures are older than 5 s; not there otherwise"
    )

    @classmethod
    def of(cls, view: GuestView, live: CellNow | None) -> InstanceOut:
        """The wire's form; what is not known of a guest, or of one that does not run, is 0."""
        medium = view.guest.media_id
        figures = live.guests.get(view.guest.id) if live is not None else None
        known = figures or GuestFigures("unknown")
        is_stale = view.guest.running and (figures is None or not is_fresh(live))
        return cls(
            **{**GuestOut.of(view), "media_attached": bool(medium), "media_source": medium},
            cpu_usage=known.cpu_usage_percent or 0.0,
            memory_available=known.memory_available_bytes or 0,
            disk_available=known.disk_available_bytes or 0,
            bytes_read=known.disk_read_bytes or 0,
            bytes_written=known.disk_written_bytes or 0,
            bytes_received=known.network_received_bytes or 0,
            bytes_sent=known.network_sent_bytes or 0,
            stale=True if is_stale else None,
        )


class GuestSpecification(WireModel):
    """What guests are to be. A missing field is empty or zero, and refused where it is needed."""

    owner: str = ""
    group: str = ""
    pool: str = ""
    cores: int = 0
    memory: int = Field(0, description="bytes")
    disks: list[int] = Field(default_factory=list, description="bytes; the first is the system's")
    auto_start: bool = False
    from_image: str = Field("", description="id of a disk image")
    template: str = Field("", description="id of a template")
    modules: list[str] = Field(default_factory=list)
    cloud_init: CloudInitIn | None = None
    qos: QosIn | None = None
    security_policy_group: str = Field("", description="id of a group whose rules are copied")

    def order_named(self, name: str) -> GuestOrder:
        """The order for one guest."""
        return GuestOrder(
            name=name,
            owner=self.owner,
            group=self.group,
            pool=self.pool,
            cores=self.cores,
            memory_bytes=self.memory,
            disks=self.disks,
            auto_start=self.auto_start,
            image_id=self.from_image,
            template_id=self.template,
            modules=self.modules,
            qos=self.qos,
            policy_group=self.security_policy_group,
            cloud_init=self.cloud_init,
        )


class GuestIn(GuestSpecification):
    """A guest to create."""

    name: str = ""

    def order(self) -> GuestOrder:
        """What the service wants."""
        return self.order_named(self.name)


class GuestCreated(BaseModel):
    """The new guest's id; GET it until it answers 200."""

    id: str


class GuestRemove(WireModel):
    """How to delete: ``force`` stops a running guest first."""

    force: bool = False


class InstanceStart(WireModel):
    """How to start."""

    from_media: bool = Field(False, description="from `source`, for this run only")
    from_network: bool = False
    source: str = Field("", description="id of a media image")


class MediaInsert(WireModel):
    """Which medium. ``type`` is Nano's and has no effect there either."""

    source: str = Field("", description="id of a media image")
    type: int = 0


class InstanceStop(WireModel):
    """How to stop: reboot instead, and at once instead of asking the guest."""

    reboot: bool = False
    force: bool = False
