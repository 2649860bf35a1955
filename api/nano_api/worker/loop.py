# SPDX-License-Identifier: Apache-2.0
"""The worker: claims jobs, runs their playbooks, stores what was observed."""

from __future__ import annotations

import threading
import uuid
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from nano_api.cells.address import certificate_for_cells, controller_url_for
from nano_api.cells.tables import Cell
from nano_api.cloud import Cloud
from nano_api.errors import CloudError
from nano_api.jobs import progress, service
from nano_api.jobs.log_file import JobLog
from nano_api.jobs.progress import Failure, Progress
from nano_api.jobs.tables import Job, Phase
from nano_api.operations import OPERATIONS
from nano_api.operations.base import Operation, Outcome, Playbook, end_state
from nano_api.worker.process import Order, RunProcess, kill_processes_of

log = structlog.get_logger(__name__)

_IDLE_SECONDS = 0.1
_TICK_SECONDS = 0.5
#: Times that an operation is run again after a crash before it is only settled.
_MOST_ATTEMPTS = 3
_CANCELED = Failure("canceled", "canceled on request")


class Worker:
    """Some threads that each run one job at a time."""

    def __init__(self, cloud: Cloud, inventory: Path) -> None:
        self.name = f"worker-{uuid.uuid4()}"
        self._cloud = cloud
        self._inventory = inventory
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True)
            for number in range(cloud.settings.workers)
        ]

    def start(self) -> None:
        """Begin to claim jobs."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Claim no more; runs that go on are ended, and resumed by the next start."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._cloud.database.transaction() as session:
                    job = service.claim(session, self.name)
                if job is None:
                    self._stopping.wait(_IDLE_SECONDS)
                else:
                    with structlog.contextvars.bound_contextvars(job=job.id):
                        self._process(job)
            except Exception:
                # A thread that dies would take part of the service with it, unseen.
                log.exception("a worker thread failed")
                self._stopping.wait(1)

    def _process(self, job: Job) -> None:
        operation = OPERATIONS[job.operation]
        if job.phase == "run" and job.attempt > _MOST_ATTEMPTS:
            job.phase = "settle"
        try:
            state = self._run(job, operation)
        except CloudError as error:
            state = Progress((), failure=Failure(error.code, error.message))
        except Exception as error:
            log.exception("a run failed", job=job.id)
            state = Progress((), failure=Failure("internal", f"the run failed: {error}"))
        if state is not None:
            self._conclude(job.id, operation, job.phase, state)

    def _run(self, job: Job, operation: Operation) -> Progress | None:
        """The state at the run's end; None when the worker stops and the job stays as it is."""
        playbook = operation.playbook if job.phase == "run" else operation.settle
        state = progress.start(playbook.steps, len(job.cells))
        if job.cancel_requested and job.phase == "run":
            return _failed(state, _CANCELED)
        order, secrets = self._order(job, operation, playbook)
        job_log = JobLog(self._cloud.settings.log_folder, job.id, secrets)
        shown: tuple[int, str] | None = None
        ended = False
        with closing(RunProcess(order)) as process, job_log:
            job_log.heading(f"{job.operation} ({job.phase}, attempt {job.attempt})")
            for event in process.events(_TICK_SECONDS):
                if event is None:
                    if self._stopping.is_set():
                        process.stop()
                        return None
                elif event["event"] == "end":
                    ended = True
                else:
                    job_log.append(event["stdout"])
                    state = progress.reduce(state, event)
                now_shown = (state.percent, state.current)
                if event is not None and now_shown == shown:
                    continue
                shown = now_shown
                if self._show(job, state) and job.phase == "run":
                    process.stop()
                    state = _failed(state, _CANCELED)
                    break
            job_log.append(process.complaints)
        if not ended and state.failure is None:
            state = _failed(state, Failure("internal", "the run was ended from outside"))
        return state

    def _order(
        self, job: Job, operation: Operation, playbook: Playbook
    ) -> tuple[Order, tuple[str, ...]]:
        with self._cloud.database.reading() as session:
            variables = operation.variables(session, self._cloud, job)
            cells = [session.get_one(Cell, name) for name in job.cells]
        settings = self._cloud.settings
        urls = {cell.name: controller_url_for(settings, cell.address) for cell in cells}
        order = Order(
            job_id=job.id,
            playbook=playbook.file,
            inventory=self._inventory,
            cells=tuple(job.cells),
            variables={
                **variables.variables,
                "nano_controller_urls": urls,
                "nano_controller_certificate": certificate_for_cells(settings),
            },
            folder=settings.run_folder / f"{job.id}-{job.attempt}",
            control_sockets=settings.runtime_folder,
        )
        return order, variables.secrets

    def _show(self, job: Job, state: Progress) -> bool:
        """Store the progress; True when somebody asked for the job's end."""
        # A job that is settled keeps the percentage that it had reached.
        percent = state.percent if job.phase == "run" else job.percent
        with self._cloud.database.reading() as session:
            found = service.get(session, job.id)
            if (found.percent, found.step) == (percent, state.current):
                return found.cancel_requested
        with self._cloud.database.transaction() as session:
            return service.show_progress(session, job.id, percent, state.current)

    def _conclude(self, job_id: str, operation: Operation, phase: Phase, state: Progress) -> None:
        """Store what was observed and end the job, or keep it to be settled."""
        playbook = operation.playbook if phase == "run" else operation.settle
        observed = state.results.get(playbook.read_back, {})
        with self._cloud.database.transaction() as session:
            job = service.get(session, job_id)
            if job.state != "running" or job.worker != self.name:
                log.warning("a job was taken up by another worker", job=job_id)
                return
            failure = state.failure
            silent = [name for name in job.cells if "failed" in observed.get(name, {"failed": 1})]
            if silent and (state.may_have_changed or phase == "settle"):
                failure = failure or Failure("internal", "the run did not read the cell back")
                if phase == "settle" or state.unreachable:
                    service.postpone(session, job, failure.code, failure.message)
                else:
                    service.settle(session, job, failure.code, failure.message)
                return
            if phase == "settle" and operation.settle is not operation.playbook:
                failure = failure or Failure(
                    job.error_code or "internal", job.error_message or "the job was interrupted"
                )
            outcome = Outcome(observed, state.results, failure)
            results = operation.apply(session, self._cloud, job, outcome)
            failure = failure or _failure_among(results)
            service.finish(
                session,
                job,
                end_state(failure),
                error_code=failure.code if failure else None,
                error_message=failure.message if failure else None,
                results=results,
            )
        kill_processes_of(job_id)


def _failure_among(results: list[dict[str, Any]]) -> Failure | None:
    """A batch has failed when one of its objects has, though the run went well."""
    bad = [result for result in results if result["state"] == "failed"]
    if not bad:
        return None
    first = f"{bad[0]['name']}: {bad[0].get('error', 'no reason')}"
    return Failure("partial", f"{len(bad)} of {len(results)} failed; {first}")


def _failed(state: Progress, failure: Failure) -> Progress:
    if failure is _CANCELED:
        state = replace(state, results={})  # what was read before the end is not true any more
    return replace(state, failure=failure)
