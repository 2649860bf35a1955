# SPDX-License-Identifier: Apache-2.0
"""A few of the 500 texts in each place: the short form of ``make hostile``."""

from __future__ import annotations

from pathlib import Path

from tests.contract.world import a_world
from tests.hostile.sending import HostileCaller, cheap_passwords, harass_everything
from tests.worker.hostile_texts import hostile_texts


def test_texts_are_refused_or_kept_as_they_are(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    texts = hostile_texts(str(canary))
    with (
        a_world(tmp_path, job_wait_seconds=5, session_timeout_seconds=86400) as world,
        cheap_passwords(),
    ):
        caller = HostileCaller(world, texts, per_place=1, seed=20)
        harass_everything(caller)
    assert not caller.problems, "\n".join(caller.problems)
    assert not canary.exists()
    assert caller.untried() == set()
    assert caller.places["body"] > 180
    assert caller.places["query"] > 15
    # Each way that a text can take was taken, or a check of it has lost its object.
    ways = {"refused", "read back", "given to a worker", "kept as a secret", "looked for"}
    assert ways <= caller.outcomes.keys()
