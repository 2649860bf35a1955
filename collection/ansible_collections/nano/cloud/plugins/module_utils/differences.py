# SPDX-License-Identifier: BSD-2-Clause
"""Wanted against found: the one source of ``changed``, of the diff and of what it names. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Tuple


@dataclass(frozen=True)
class Differences:
    """The fields of an object that differ; an object that is not there is an empty mapping."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def fields(self) -> List[str]:
        """Names of the fields that differ, in the order in which they are listed."""
        keys = dict.fromkeys([*self.before, *self.after])
        return [key for key in keys if self._differs(key)]

    @property
    def changed(self) -> bool:
        """Whether anything differs."""
        return bool(self.fields)

    def as_diff(self) -> Dict[str, Any]:
        """Ansible's diff: only what differs, so that a reader sees the change and not the noise."""
        fields = self.fields
        return {
            "before": {key: self.before[key] for key in fields if key in self.before},
            "after": {key: self.after[key] for key in fields if key in self.after},
        }

    def _differs(self, key: str) -> bool:
        if (key in self.before) != (key in self.after):
            return True
        return bool(self.before[key] != self.after[key])


@dataclass(frozen=True)
class ManyDifferences:
    """The differences of several objects, with what people call each."""

    parts: Tuple[Tuple[str, Differences], ...]

    @property
    def changed(self) -> bool:
        """Whether anything differs in any of them."""
        return any(part.changed for _name, part in self.parts)

    def as_diff(self) -> List[Dict[str, Any]]:
        """Ansible's diff with a part for each object that differs."""
        return [
            {"before_header": name, "after_header": name, **part.as_diff()}
            for name, part in self.parts
            if part.changed
        ]
