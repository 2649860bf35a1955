# SPDX-License-Identifier: BSD-2-Clause
"""A security policy as data, beside the argument spec that it is read from."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from . import constants, names
from .errors import InvalidInput

ACTIONS = ("accept", "drop")
PROTOCOLS = ("tcp", "udp", "icmp", "all")
MAX_RULES = 800
_MAX_PORT_RANGES = 64
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")

POLICY_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "name": {"type": "str", "required": True},
    "default_action": {"type": "str", "choices": list(ACTIONS)},
    "rules": {
        "type": "list",
        "elements": "dict",
        "options": {
            "action": {"type": "str", "choices": list(ACTIONS), "required": True},
            "protocol": {"type": "str", "choices": list(PROTOCOLS), "default": "all"},
            "ports": {"type": "list", "elements": "str", "default": []},
            "source": {"type": "str"},
            "target": {"type": "str"},
        },
    },
    "lock_timeout_seconds": {"type": "int", "default": constants.DEFAULT_LOCK_TIMEOUT_SECONDS},
}


@dataclass(frozen=True)
class PolicyRule:
    """What happens to packets that come to the guest.

    ``ports``: (first, last) each, of the guest; none for all. ``source`` and ``target`` are CIDR,
    ``""`` for all.
    """

    action: str
    protocol: str = "all"
    ports: Tuple[Tuple[int, int], ...] = ()
    source: str = ""
    target: str = ""


@dataclass(frozen=True)
class PolicySpec:
    """A policy: the first rule that fits a packet decides, ``default_action`` the rest."""

    name: str
    default_action: str = "accept"
    rules: Tuple[PolicyRule, ...] = ()


@dataclass(frozen=True)
class PolicyRequest:
    """The checked options of the module ``security_policy``; None keeps what is there."""

    name: str
    default_action: Optional[str] = None
    rules: Optional[Tuple[PolicyRule, ...]] = None

    def applied_to(self, found: Optional[PolicySpec]) -> PolicySpec:
        """The policy that is wanted."""
        known = found or PolicySpec(self.name)
        return PolicySpec(
            self.name,
            self.default_action or known.default_action,
            known.rules if self.rules is None else self.rules,
        )


def policy_request(params: Mapping[str, Any]) -> PolicyRequest:
    """Checked request from the parameters that passed ``POLICY_ARGUMENTS``.

    :raises InvalidInput: a value that can never work; names the option.
    """
    rules = params.get("rules")
    if rules is not None and len(rules) > MAX_RULES:
        raise InvalidInput(f"rules has more than {MAX_RULES} entries", field="rules")
    return PolicyRequest(
        name=names.check_policy_name(params["name"], "name"),
        default_action=params.get("default_action"),
        rules=None
        if rules is None
        else tuple(_rule(f"rules[{index}]", rule) for index, rule in enumerate(rules)),
    )


def policy_values(spec: PolicySpec) -> Dict[str, Any]:
    """A policy as the module's options have it."""
    return {
        "name": spec.name,
        "default_action": spec.default_action,
        "rules": [
            {
                "action": rule.action,
                "protocol": rule.protocol,
                "ports": [_port_text(first, last) for first, last in rule.ports],
                "source": rule.source or None,
                "target": rule.target or None,
            }
            for rule in spec.rules
        ],
    }


def _rule(field: str, rule: Mapping[str, Any]) -> PolicyRule:
    ports = tuple(_port_range(f"{field}.ports", text) for text in rule.get("ports") or ())
    protocol = rule.get("protocol") or "all"
    if ports and protocol not in ("tcp", "udp"):
        raise InvalidInput(f"{field}.ports: {protocol} has no ports", field=f"{field}.ports")
    if len(ports) > _MAX_PORT_RANGES:
        raise InvalidInput(
            f"{field}.ports has more than {_MAX_PORT_RANGES} entries", field=f"{field}.ports"
        )
    source = _network(f"{field}.source", rule.get("source"))
    target = _network(f"{field}.target", rule.get("target"))
    if source and target and (":" in source) != (":" in target):
        raise InvalidInput(
            f"{field}: source and target are of different IP versions", field=f"{field}.source"
        )
    return PolicyRule(rule["action"], protocol, ports, source, target)


def _port_range(field: str, text: str) -> Tuple[int, int]:
    found = _PORTS.fullmatch(text.strip())
    if found:
        first, last = int(found[1]), int(found[2] or found[1])
        if 1 <= first <= last <= 65535:
            return first, last
    raise InvalidInput(
        f"{field}: {text[:40]!r} is no port from 1 to 65535 nor a range such as 8000-8010",
        field=field,
    )


def _port_text(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _network(field: str, text: Optional[str]) -> str:
    """An address or a network as CIDR; ``""`` for all."""
    if not text:
        return ""
    try:
        network = ipaddress.ip_network(text.strip(), strict=True)
    except ValueError as error:
        raise InvalidInput(f"{field}: {str(error)[:200]}", field=field) from None
    return "" if network.prefixlen == 0 else str(network)
