# SPDX-License-Identifier: Apache-2.0
"""Where a guest goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nano_api.errors import Conflict, NoSpace
from nano_api.guests import scheduling
from nano_api.guests.scheduling import Candidate, Demand

GIB = 1 << 30
EMPTY = Candidate(
    name="c1",
    cores=8,
    cpu_usage_percent=0.0,
    memory_bytes=32 * GIB,
    memory_available_bytes=30 * GIB,
    disk_bytes=500 * GIB,
    disk_available_bytes=400 * GIB,
    promised=Demand(0, 0, 0),
)
DEMAND = Demand(cores=2, memory_bytes=4 * GIB, disk_bytes=20 * GIB)


def pick_cell(cells: list[Candidate], demand: Demand) -> str:
    return scheduling.pick_cell(cells, demand, busy_percent=80.0)


def test_the_cell_with_more_room_wins() -> None:
    busier = replace(EMPTY, name="c2", cpu_usage_percent=50.0)
    assert pick_cell([busier, EMPTY], DEMAND) == "c1"


def test_what_is_promised_counts_beside_what_is_used() -> None:
    promised = replace(EMPTY, name="c2", promised=Demand(16, 64 * GIB, 100 * GIB))
    assert pick_cell([promised, EMPTY], DEMAND) == "c1"


def test_the_score_is_nanos() -> None:
    # By hand: cores 2·((4/2)+(3·8-0)/2)/2 = 14, memory 1.5·((8/4)+(96-8)/4)/2 = 18, disk
    # 0.5·((100/20)+(1500-0)/20)/2 = 20 → 52; the other: 2·((8/2)+(24-18)/2)/2 = 7,
    # 1.5·((30/4)+(96/4))/2 = 23.625, 0.5·((400/20)+(1500/20))/2 = 23.75 → 54.375.
    first = replace(
        EMPTY,
        cpu_usage_percent=50.0,
        memory_available_bytes=8 * GIB,
        disk_available_bytes=100 * GIB,
        promised=Demand(0, 8 * GIB, 0),
    )
    second = replace(EMPTY, name="c2", promised=Demand(18, 0, 0))
    assert pick_cell([first, second], DEMAND) == "c2"
    # Six cores more promised turn it: 2·((8/2)+0)/2 = 4, in all 51.375.
    assert pick_cell([first, replace(second, promised=Demand(24, 0, 0))], DEMAND) == "c1"


def test_overcommitment_is_allowed() -> None:
    crowded = replace(EMPTY, promised=Demand(100, 400 * GIB, 9000 * GIB))
    assert pick_cell([crowded], DEMAND) == "c1"


def test_no_cell_at_all() -> None:
    with pytest.raises(Conflict, match="no cell is alive and enabled"):
        pick_cell([], DEMAND)


def test_every_cell_busy() -> None:
    with pytest.raises(Conflict, match=r"all cell cores are busy \(load over 80.00%\)"):
        pick_cell([replace(EMPTY, cpu_usage_percent=80.1)], DEMAND)


def test_too_little_disk_says_how_much_there_is() -> None:
    with pytest.raises(NoSpace, match=f"no cell has enough disk: .* is {400 * GIB}"):
        pick_cell([EMPTY], replace(DEMAND, disk_bytes=401 * GIB))


def test_too_little_memory_says_how_much_there_is() -> None:
    with pytest.raises(NoSpace, match=f"no cell has enough memory: .* is {30 * GIB}"):
        pick_cell([EMPTY], replace(DEMAND, memory_bytes=31 * GIB))


CELLS = st.builds(
    Candidate,
    name=st.sampled_from(["a", "b", "c", "d"]),
    cores=st.integers(1, 64),
    cpu_usage_percent=st.floats(0, 100),
    memory_bytes=st.integers(0, 64 * GIB),
    memory_available_bytes=st.integers(0, 64 * GIB),
    disk_bytes=st.integers(0, 500 * GIB),
    disk_available_bytes=st.integers(0, 500 * GIB),
    promised=st.builds(
        Demand, st.integers(0, 200), st.integers(0, 300 * GIB), st.integers(0, 3000 * GIB)
    ),
)


@given(st.lists(CELLS, max_size=6, unique_by=lambda cell: cell.name))
def test_the_chosen_cell_always_has_the_room(cells: list[Candidate]) -> None:
    try:
        name = pick_cell(cells, DEMAND)
    except (Conflict, NoSpace):
        return
    chosen = next(cell for cell in cells if cell.name == name)
    assert chosen.memory_available_bytes >= DEMAND.memory_bytes
    assert chosen.disk_available_bytes >= DEMAND.disk_bytes
    assert chosen.cpu_usage_percent <= 80
