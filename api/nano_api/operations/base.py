# SPDX-License-Identifier: Apache-2.0
"""What an operation is: data about a playbook, and two functions around its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.orm import Session

from nano_api.cloud import Cloud
from nano_api.jobs.progress import Failure, Step
from nano_api.jobs.tables import Job


@dataclass(frozen=True)
class RunVariables:
    """Variables of a run. ``secrets`` are values that must not appear in any log."""

    variables: dict[str, Any]
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    ``observed``: cell → what was read back there; a cell that did not answer is missing.
    ``results``: task → cell → what the task returned. ``failure``: why it failed, if it did.
    """

    observed: Mapping[str, Mapping[str, Any]]
    results: Mapping[str, Mapping[str, Mapping[str, Any]]]
    failure: Failure | None = None

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for has been done."""
        return self.failure is None


@dataclass(frozen=True)
class Playbook:
    """A playbook with the steps that count for progress.

    ``read_back`` names the task whose result says what is there at the end.
    """

    file: str
    steps: tuple[Step, ...]
    read_back: str


@dataclass(frozen=True)
class Operation:
    """What a job does.

    ``playbook`` does it. ``settle`` puts the cell in order and reads it after a run that was cut
    off (canceled, killed, cell lost). ``resume``: after the death of the API an idempotent
    operation is run again (``rerun``); others are only settled. ``apply`` stores what was
    observed; it runs in the transaction that ends the job and returns the job's results, one per
    object: ``{"id", "name", "state", "error"?}``.
    """

    name: str
    playbook: Playbook
    settle: Playbook
    resume: Literal["rerun", "settle"]
    variables: Callable[[Session, Cloud, Job], RunVariables]
    apply: Callable[[Session, Cloud, Job, Outcome], list[dict[str, Any]]]


def result_of(job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    """The results of a job about one object."""
    return [{"id": job.subject_id, "name": job.subject_name, "state": end_state(outcome.failure)}]


def end_state(failure: Failure | None) -> Literal["succeeded", "failed", "canceled"]:
    """How a job ends that failed so, or not at all."""
    if failure is None:
        return "succeeded"
    return "canceled" if failure.code == "canceled" else "failed"
