# SPDX-License-Identifier: Apache-2.0
"""A guest as it is wanted against its definition on the cell. Pure.

Both sides go through the code that the module ``guest`` decides by: what differs here is what
that module would change, so libvirt's own defaults never show, and a repair settles all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from nano_api.guests.options import wanted_options
from nano_api.guests.tables import Guest, GuestDefinition

from ansible_collections.nano.cloud.plugins.module_utils import domain_xml  # isort: skip
from ansible_collections.nano.cloud.plugins.module_utils.errors import CloudError  # isort: skip
from ansible_collections.nano.cloud.plugins.module_utils.guest_defaults import (  # isort: skip
    changed_guest,
)
from ansible_collections.nano.cloud.plugins.module_utils.guest_spec import (  # isort: skip
    GuestSpec,
    guest_request,
)
from ansible_collections.nano.cloud.plugins.module_utils.host_capabilities import (  # isort: skip
    HostCapabilities,
)

#: Not in a definition, or not wanted by a row.
_NOT_COMPARED = ("id", "incomplete", "disks", "snapshots", "topology", "display.password")
#: Nothing that is compared depends on the host.
_ANY_HOST = HostCapabilities(arch="", domain_types=("qemu",))
_REMEMBERED = 20_000


@dataclass(frozen=True)
class Difference:
    """One field: what the row wants, what the definition has."""

    field: str
    wanted: Any
    found: Any

    @property
    def option(self) -> str:
        """The module's option that it belongs to."""
        return self.field.partition(".")[0]


def differences(guest: Guest, definition: GuestDefinition) -> tuple[Difference, ...]:
    """Nothing where all is as it should be. The definition must be present."""
    options = json.dumps(wanted_options(guest), sort_keys=True)
    return _compare(options, len(guest.disks), definition.xml, definition.auto_start)


@lru_cache(_REMEMBERED)
def _compare(
    options_text: str, disk_count: int, xml: str, auto_start: bool
) -> tuple[Difference, ...]:
    options = json.loads(options_text)
    found = domain_xml.parse(xml)
    try:
        wanted = changed_guest(guest_request(options), found, _ANY_HOST)
    except CloudError as error:
        # What is there does not go together with what is wanted at all.
        field = str(error.context.get("field", "definition"))
        return (Difference(field, options.get(field), error.message),)
    after, before = _flat(wanted), _flat(found)
    listed = [
        Difference(name, after.get(name), before.get(name))
        for name in sorted(after.keys() | before.keys())
        if after.get(name) != before.get(name)
    ]
    if auto_start != options["auto_start"]:
        listed.append(Difference("auto_start", options["auto_start"], auto_start))
    if len(found.disks) != disk_count:
        listed.append(Difference("disks", disk_count, len(found.disks)))
    return tuple(listed)


def _flat(spec: GuestSpec) -> dict[str, Any]:
    values = dict(_leaves("", asdict(spec)))
    return {
        name: value
        for name, value in values.items()
        if name not in _NOT_COMPARED and name.partition(".")[0] not in _NOT_COMPARED
    }


def _leaves(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value
