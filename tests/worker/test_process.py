# SPDX-License-Identifier: Apache-2.0
"""Real runs of ansible-playbook on this machine: events, secrets, templates, ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nano_api.worker.process import Order, RunProcess, kill_processes_of, processes_of

PLAYBOOK = """
- name: A play
  hosts: "{{ nano_cell }}"
  gather_facts: false
  tasks:
    - name: Say it
      ansible.builtin.debug:
        msg: "{{ nano_text }}"
    - name: Take long
      ansible.builtin.command: sleep {{ nano_seconds }}
      changed_when: false
"""


@pytest.fixture
def order(tmp_path: Path) -> Order:
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    (tmp_path / "hosts.yml").write_text(
        "cells: {hosts: {here: {ansible_connection: local, "
        f"ansible_python_interpreter: {sys.executable}}}}}}}\n"
    )
    (tmp_path / "sockets").mkdir(mode=0o700)
    return Order(
        job_id=f"test-{os.getpid()}-{tmp_path.name}",
        playbook=str(tmp_path / "play.yml"),
        inventory=tmp_path / "hosts.yml",
        cells=("here",),
        variables={"nano_text": "hello", "nano_seconds": 0},
        folder=tmp_path / "run",
        control_sockets=tmp_path / "sockets",
    )


def with_variables(order: Order, **variables: Any) -> Order:
    return Order(**{**vars(order), "variables": {**order.variables, **variables}})


def all_events(process: RunProcess) -> list[dict[str, Any]]:
    return [event for event in process.events(1) if event is not None]


def result_of(events: list[dict[str, Any]], task: str) -> dict[str, Any]:
    return next(
        event["event_data"]["res"]
        for event in events
        if event["event"] == "runner_on_ok" and event["event_data"]["task"] == task
    )


def wait_for_task(process: RunProcess, task: str) -> None:
    for event in process.events(1):
        if event and (event["event"], event["event_data"].get("task")) == (
            "playbook_on_task_start",
            task,
        ):
            return
    raise AssertionError(f"task {task} never began: {process.complaints}")


def test_a_run_hands_its_events_on_and_leaves_no_file(order: Order) -> None:
    with closing(RunProcess(order)) as process:
        events = all_events(process)
    assert events[-1]["event"] == "end", process.complaints
    assert events[-1]["status"] == "successful", events
    assert result_of(events, "Say it")["msg"] == "hello"
    assert not order.folder.exists()
    assert processes_of(order.job_id) == []


def test_a_template_in_a_value_stays_text(order: Order, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    text = "{{ lookup('pipe', 'touch " + str(canary) + "') }}"
    with closing(RunProcess(with_variables(order, nano_text=text))) as process:
        events = all_events(process)
    assert result_of(events, "Say it")["msg"] == text
    assert not canary.exists()


def test_values_never_stand_in_a_command_line(order: Order) -> None:
    secret = "canary-5d1f"
    started = with_variables(order, nano_text=secret, nano_seconds=2)
    with closing(RunProcess(started)) as process:
        wait_for_task(process, "Take long")
        lines = subprocess.run(["ps", "axww", "-o", "args="], capture_output=True, text=True).stdout
        all_events(process)
    assert "ansible-playbook" in lines
    assert secret not in lines


def test_stopping_ends_every_process_of_the_run(order: Order) -> None:
    with closing(RunProcess(with_variables(order, nano_seconds=300))) as process:
        wait_for_task(process, "Take long")
        assert processes_of(order.job_id) != []
        process.stop()
        assert processes_of(order.job_id) == []
        assert not any(event and event["event"] == "runner_on_ok" for event in process.events(1))


def test_a_run_whose_parent_is_killed_is_found_and_ended(order: Order, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, time, pickle, pathlib\n"
        "from nano_api.worker.process import RunProcess\n"
        "order = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "for event in RunProcess(order).events(1):\n"
        "    if event and event['event_data'].get('task') == 'Take long':\n"
        "        print('running', flush=True)\n"
    )
    import pickle

    pickled = tmp_path / "order"
    pickled.write_bytes(pickle.dumps(with_variables(order, nano_seconds=300)))
    parent = subprocess.Popen(
        [sys.executable, str(script), str(pickled)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "running\n"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert processes_of(order.job_id) != []
    begun = time.monotonic()
    kill_processes_of(order.job_id)
    assert processes_of(order.job_id) == []
    assert time.monotonic() - begun < 10
