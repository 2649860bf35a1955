# SPDX-License-Identifier: Apache-2.0
"""Figures for Prometheus: from the rows and the live figures at the moment of the question."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nano_api.cells.tables import Cell
from nano_api.clock import now
from nano_api.cloud import Cloud
from nano_api.guests.tables import Guest
from nano_api.jobs.tables import Job
from nano_api.live.figures import CellNow
from nano_api.status import service as status


class CloudCollector(Collector):
    """Cells, guests, jobs and how far the observer is behind."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def describe(self) -> list[Metric]:
        """Nothing is read only to learn the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One short reading transaction."""
        with self._cloud.database.reading() as session:
            live = self._cloud.live.everything(session)
            yield from _cells(session, live)
            yield _guests(session)
            yield _jobs(session)
        events = CounterMetricFamily(
            "nano_observer_events", "What libvirt told by itself, in this process", labels=["kind"]
        )
        for kind, count in sorted(self._cloud.live.event_counts().items()):
            events.add_metric([kind], count)
        yield events


def registry_of(cloud: Cloud) -> CollectorRegistry:
    """Of one application; nothing is global."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(CloudCollector(cloud))
    return registry


def _cells(session: Session, live: dict[str, CellNow]) -> Iterator[Metric]:
    alive = GaugeMetricFamily("nano_cell_alive", "1 while the cell answers", labels=["cell"])
    lag = GaugeMetricFamily(
        "nano_observer_lag_seconds", "Age of the newest figures", labels=["cell"]
    )
    cores = GaugeMetricFamily("nano_cell_used_cores", "Cores in use", labels=["cell"])
    memory = GaugeMetricFamily(
        "nano_cell_memory_available_bytes", "Memory for more guests", labels=["cell"]
    )
    disk = GaugeMetricFamily(
        "nano_cell_disk_available_bytes", "Room for more disks", labels=["cell"]
    )
    for cell in session.scalars(select(Cell).where(Cell.in_inventory)):
        alive.add_metric([cell.name], float(cell.alive))
        figures = live.get(cell.name)
        if figures is None:
            continue
        lag.add_metric([cell.name], max(0.0, (now() - figures.at).total_seconds()))
        cores.add_metric([cell.name], figures.used_cores)
        memory.add_metric([cell.name], figures.host.memory_available_bytes)
        disk.add_metric([cell.name], figures.host.disk_available_bytes)
    yield from (alive, lag, cores, memory, disk)


def _guests(session: Session) -> Metric:
    guests = GaugeMetricFamily("nano_guests", "Guests by what they do", labels=["state"])
    counts = status.guest_counts(session)
    for state, count in vars(counts).items():
        guests.add_metric([state], count)
    being_made = select(func.count()).select_from(Guest).where(Guest.state == "creating")
    guests.add_metric(["creating"], session.scalar(being_made) or 0)
    return guests


def _jobs(session: Session) -> Metric:
    jobs = GaugeMetricFamily("nano_jobs", "Jobs that are kept, by state", labels=["state"])
    for state, count in session.execute(select(Job.state, func.count()).group_by(Job.state)):
        jobs.add_metric([state], count)
    return jobs
