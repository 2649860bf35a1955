# SPDX-License-Identifier: Apache-2.0
"""Progress as a pure function over events."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nano_api.jobs.progress import Failure, Progress, Step, reduce, start

STEPS = (Step("Look", 10, changes=False), Step("Fetch", 60), Step("Make", 30))


def event(kind: str, task: str, **data: Any) -> dict[str, Any]:
    return {"event": kind, "event_data": {"task": task, "host": "c1", **data}}


def run(*events: dict[str, Any]) -> Progress:
    state = start(STEPS)
    for one in events:
        state = reduce(state, one)
    return state


def test_a_finished_step_gives_its_whole_weight() -> None:
    state = run(event("playbook_on_task_start", "Look"), event("runner_on_ok", "Look", res={}))
    assert state.percent == 10


def test_progress_of_a_retried_task_moves_inside_its_step() -> None:
    begun = run(event("runner_on_ok", "Look"), event("playbook_on_task_start", "Fetch"))
    half = reduce(begun, event("runner_retry", "Fetch", res={"progress": 50}))
    assert (begun.percent, half.percent) == (10, 40)


def test_a_skipped_step_counts_as_done() -> None:
    assert run(event("runner_on_ok", "Look"), event("runner_on_skipped", "Fetch")).percent == 70


def test_only_the_end_of_a_job_makes_it_a_hundred() -> None:
    assert run(*(event("runner_on_ok", step.task) for step in STEPS)).percent == 99


def test_the_first_failure_is_the_reason() -> None:
    error = {"code": "no_space", "message": "pool 'default' is full"}
    state = run(
        event("runner_on_failed", "Make", res={"msg": "no", "error": error}),
        event("runner_on_failed", "Clear", res={"msg": "something else"}),
    )
    assert state.failure == Failure("no_space", "pool 'default' is full")


def test_a_failure_without_a_code_names_its_step() -> None:
    state = run(event("runner_on_failed", "Make", res={"msg": "boom\n  twice"}))
    assert state.failure == Failure("internal", "step 'Make' failed: boom twice")


def test_an_ignored_failure_is_none() -> None:
    state = run(event("runner_on_failed", "Make", res={"msg": "x"}, ignore_errors=True))
    assert state.failure is None


def test_an_unreachable_cell_is_named() -> None:
    state = run(event("runner_on_unreachable", "Look", host="c1", res={"msg": "timed out"}))
    assert state.unreachable == {"c1"}
    assert state.failure == Failure("unreachable", "cell 'c1' does not answer: timed out")


def test_a_step_on_two_cells_is_half_done_when_one_has_done_it() -> None:
    state = start(STEPS, hosts=2)
    for host in ("c1", "c2"):
        state = reduce(state, event("runner_on_ok", "Look", host=host, res={"found": host}))
    half = reduce(state, event("runner_on_ok", "Fetch", host="c2"))
    assert (state.percent, half.percent) == (10, 40)
    assert state.results["Look"] == {"c1": {"found": "c1"}, "c2": {"found": "c2"}}


def test_an_ignored_failure_keeps_its_result() -> None:
    state = run(event("runner_on_failed", "Make", res={"results": [1]}, ignore_errors=True))
    assert state.results["Make"]["c1"] == {"results": [1]}


def test_reading_steps_change_nothing() -> None:
    looked = run(event("playbook_on_task_start", "Look"))
    made = reduce(looked, event("playbook_on_task_start", "Make"))
    assert (looked.may_have_changed, made.may_have_changed) == (False, True)


EVENTS = st.builds(
    event,
    st.sampled_from(
        ["playbook_on_task_start", "runner_retry", "runner_on_ok", "runner_on_skipped", "verbose"]
    ),
    st.sampled_from([step.task for step in STEPS] + ["Other"]),
    res=st.fixed_dictionaries({"progress": st.integers(-50, 200)}),
)


@given(st.lists(EVENTS, max_size=30))
def test_whatever_happens_the_percentage_stays_in_its_bounds(events: list[dict[str, Any]]) -> None:
    assert 0 <= run(*events).percent <= 99
