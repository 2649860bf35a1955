# SPDX-License-Identifier: Apache-2.0
"""Progress of a run: a pure function over ansible-runner's events.

A step is a task of the playbook, known by its name and given a weight. What a task returns as
``progress`` (0 to 100) while it is retried moves the percentage inside its step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Step:
    """A task that counts. ``changes`` is False for one that only reads the cell."""

    task: str
    weight: int
    changes: bool = True


@dataclass(frozen=True)
class Failure:
    """Why a run failed; ``code`` as in ``CloudError``."""

    code: str
    message: str


@dataclass(frozen=True)
class Progress:
    """How far a run on ``hosts`` cells is, and what its steps returned.

    ``results``: task name → cell → the module's result, of failed tasks too.
    """

    steps: tuple[Step, ...]
    hosts: int = 1
    current: str = ""
    inside: int = 0
    done: frozenset[tuple[str, str]] = frozenset()
    begun: frozenset[str] = frozenset()
    results: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    failure: Failure | None = None
    unreachable: frozenset[str] = frozenset()

    @property
    def percent(self) -> int:
        """0 to 99: only the end of a job makes it 100."""
        total = sum(step.weight for step in self.steps) or 1
        reached = 0.0
        for step in self.steps:
            share = sum(task == step.task for task, _host in self.done) / self.hosts
            if step.task == self.current:
                share = max(share, self.inside / 100)
            reached += step.weight * min(share, 1)
        return min(99, int(100 * reached / total))

    @property
    def may_have_changed(self) -> bool:
        """Whether a step that changes the cell was begun, so that it must be looked at."""
        return any(step.changes and step.task in self.begun for step in self.steps)


def start(steps: Sequence[Step], hosts: int = 1) -> Progress:
    """The state before the first event."""
    return Progress(tuple(steps), hosts)


def reduce(state: Progress, event: Mapping[str, Any]) -> Progress:
    """The state after one event of ansible-runner."""
    data = event.get("event_data") or {}
    task = str(data.get("task") or "")
    host = str(data.get("host") or "")
    result = data.get("res") or {}
    match event.get("event"):
        case "playbook_on_task_start":
            return _begin(state, task)
        case "runner_retry" | "runner_item_on_ok":
            return _inside(state, task, result)
        case "runner_on_ok":
            return _end(state, task, host, result)
        case "runner_on_skipped":
            return replace(state, done=state.done | {(task, host)})
        case "runner_on_failed" if data.get("ignore_errors"):
            return _end(state, task, host, result)
        case "runner_on_failed":
            return _fail(_end(state, task, host, result), _failure_of(task, result))
        case "runner_on_unreachable":
            why = _one_line(result.get("msg", ""))
            message = f"cell '{host}' does not answer: {why}"
            failed = _fail(state, Failure("unreachable", message))
            return replace(failed, unreachable=failed.unreachable | {host})
    return state


def _begin(state: Progress, task: str) -> Progress:
    if not any(step.task == task for step in state.steps):
        return state
    return replace(state, current=task, inside=0, begun=state.begun | {task})


def _inside(state: Progress, task: str, result: Mapping[str, Any]) -> Progress:
    percent = result.get("progress")
    if task != state.current or not isinstance(percent, int | float):
        return state
    return replace(state, inside=max(state.inside, min(100, int(percent))))


def _end(state: Progress, task: str, host: str, result: Mapping[str, Any]) -> Progress:
    of_task = {**state.results.get(task, {}), host: result}
    return replace(
        state, done=state.done | {(task, host)}, results={**state.results, task: of_task}
    )


def _fail(state: Progress, failure: Failure) -> Progress:
    # The first failure is the cause; what fails while clearing up comes after it.
    return replace(state, failure=state.failure or failure)


def _failure_of(task: str, result: Mapping[str, Any]) -> Failure:
    error = result.get("error")
    if isinstance(error, Mapping) and error.get("message"):
        return Failure(str(error.get("code", "internal")), str(error["message"]))
    for item in result.get("results") or ():
        if isinstance(item, Mapping) and item.get("failed"):
            return _failure_of(task, item)  # of a loop, the first that failed is the cause
    message = _one_line(result.get("msg") or result.get("stderr") or "it gave no reason")
    return Failure("internal", f"step '{task}' failed: {message}")


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())[:1000]
