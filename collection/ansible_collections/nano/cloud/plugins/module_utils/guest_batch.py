# SPDX-License-Identifier: BSD-2-Clause
"""Many guests in one call: each for itself, the failure of one stops no other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from .differences import Differences, ManyDifferences
from .errors import CloudError, Conflict, PartialFailure, unforeseen

_MOST_NAMED = 10


@dataclass(frozen=True)
class OneDone:
    """What came of one guest: the module's own return values for it."""

    differences: Differences
    values: Mapping[str, Any]
    changed: bool
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class BatchOutcome:
    """What came of all; ``results`` in the order of the list."""

    differences: ManyDifferences
    results: List[Dict[str, Any]]
    warnings: List[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything was changed."""
        return any(result["changed"] for result in self.results)


def run_batch(
    entries: Sequence[Mapping[str, Any]],
    call: Callable[[Mapping[str, Any]], OneDone],
    at_once: int,
) -> BatchOutcome:
    """Call for each entry, up to ``at_once`` at the same time.

    :raises PartialFailure: some failed; each is named with its reason, the others are done
    """
    doubled = _doubled(entries)

    def one(index: int) -> Any:
        try:
            if index in doubled:
                raise Conflict(doubled[index])
            return call(entries[index])
        except CloudError as error:
            return error
        except Exception as error:
            # What nobody foresaw with one guest is no reason to leave the others undone.
            return unforeseen(error)

    with ThreadPoolExecutor(max_workers=max(1, at_once)) as pool:
        outcomes = list(pool.map(one, range(len(entries))))
    results = [_result(index, entries[index], each) for index, each in enumerate(outcomes)]
    done = [(_label(result), each) for result, each in zip(results, outcomes)]
    differences = ManyDifferences(
        tuple((label, each.differences) for label, each in done if isinstance(each, OneDone))
    )
    warnings = [
        f"{label}: {warning}"
        for label, each in done
        if isinstance(each, OneDone)
        for warning in each.warnings
    ]
    outcome = BatchOutcome(differences, results, warnings)
    _raise_if_failed(outcome)
    return outcome


def _doubled(entries: Sequence[Mapping[str, Any]]) -> Dict[int, str]:
    """Index → why it cannot be: an earlier entry is about the same guest."""
    seen: Dict[str, int] = {}
    found = {}
    for index, entry in enumerate(entries):
        for option in ("id", "name"):
            word = entry.get(option)
            if word is not None and seen.setdefault(f"{option} {word}", index) != index:
                found[index] = f"guests[{seen[f'{option} {word}']}] has the same {option} {word}"
    return found


def _result(index: int, entry: Mapping[str, Any], outcome: Any) -> Dict[str, Any]:
    known: Dict[str, Any] = {"index": index, "id": entry.get("id"), "name": entry.get("name")}
    if isinstance(outcome, CloudError):
        error = outcome.as_dict()
        return {**known, "changed": False, "failed": True, "error": error, "guest": None}
    guest: Optional[Mapping[str, Any]] = outcome.values.get("guest")
    if guest is not None:
        known.update(id=guest["id"], name=guest["name"])
    more = {**outcome.values, "changed": outcome.changed, "failed": False, "error": None}
    return {**known, **more}


def _label(result: Mapping[str, Any]) -> str:
    return str(result["name"] or result["id"] or f"guests[{result['index']}]")


def _raise_if_failed(outcome: BatchOutcome) -> None:
    failed = [result for result in outcome.results if result["failed"]]
    if not failed:
        return
    reasons = [f"{_label(each)}: {each['error']['message']}" for each in failed[:_MOST_NAMED]]
    more = f"; and {len(failed) - _MOST_NAMED} more" if len(failed) > _MOST_NAMED else ""
    raise PartialFailure(
        f"{len(failed)} of {len(outcome.results)} guests failed: {'; '.join(reasons)}{more}",
        values={
            "results": outcome.results,
            "changed": outcome.changed,
            "diff": outcome.differences.as_diff(),
        },
        failed=[_label(each) for each in failed],
    )
