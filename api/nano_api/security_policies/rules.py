# SPDX-License-Identifier: Apache-2.0
"""Lists of rules: what a rule may say, and how a list of them is changed.

Rules of policy groups and of guests are the same; nothing here knows the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from typing import Any

from nano_api.errors import Conflict, InvalidInput, NotFound

ACTIONS = ("accept", "reject")
PROTOCOLS = ("tcp", "udp", "icmp")
_LAST_PORT = 65_535
_MOST_RULES = 256


@dataclass(frozen=True)
class Rule:
    """What happens to packets that come in. ``""`` is any address; ``icmp`` has no ports (0)."""

    action: str
    protocol: str
    from_address: str
    to_address: str
    to_port: int

    @property
    def target(self) -> tuple[str, str, int]:
        """Two rules of one list with the same target contradict or repeat each other."""
        return self.protocol, self.from_address, self.to_port

    def __str__(self) -> str:
        return f"{self.protocol}:{self.from_address}:{self.to_port}"

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def checked_rule(
    action: str, protocol: str, from_address: str, to_address: str, to_port: int
) -> Rule:
    """A rule in canonical form.

    :raises InvalidInput: a field is missing or has a value that it may not have
    """
    check_action(action, "action")
    if protocol not in PROTOCOLS:
        raise InvalidInput(
            f"invalid protocol '{protocol[:40]}': use {', '.join(PROTOCOLS)}", field="protocol"
        )
    if protocol == "icmp":
        to_port = 0
    elif not 1 <= to_port <= _LAST_PORT:
        raise InvalidInput(f"to_port must be 1 to {_LAST_PORT}, not {to_port}", field="to_port")
    return Rule(
        action,
        protocol,
        _checked_address(from_address, "from_address"),
        _checked_address(to_address, "to_address"),
        to_port,
    )


def check_action(action: str, field: str) -> str:
    """:raises InvalidInput: it is not one of ``ACTIONS``"""
    if action not in ACTIONS:
        raise InvalidInput(
            f"invalid {field} '{action[:40]}': use {' or '.join(ACTIONS)}", field=field
        )
    return action


def appended(rules: Sequence[Rule], rule: Rule, owner: str) -> list[Rule]:
    """The list with a rule more.

    :param owner: how a message calls the list: ``policy group 'g'``
    :raises Conflict: it has a rule with the same target already, or is full
    """
    if len(rules) >= _MOST_RULES:
        raise Conflict(f"{owner} has {_MOST_RULES} rules already")
    _check_new(rules, rule, owner)
    return [*rules, rule]


def replaced(rules: Sequence[Rule], index: int, rule: Rule, owner: str) -> list[Rule]:
    """The list with another rule in this place.

    :raises NotFound: it has no such place
    :raises Conflict: another rule has the same target
    """
    rest = removed(rules, index)
    _check_new(rest, rule, owner)
    return [*rules[:index], rule, *rules[index + 1 :]]


def removed(rules: Sequence[Rule], index: int) -> list[Rule]:
    """The list without the rule in this place; later rules move up.

    :raises NotFound: it has no such place
    """
    if not 0 <= index < len(rules):
        raise NotFound(f"invalid rule index {index}: there are {len(rules)} rule(s)", index=index)
    return [*rules[:index], *rules[index + 1 :]]


def moved(rules: Sequence[Rule], index: int, direction: str) -> list[Rule]:
    """The list with a rule one place nearer to its begin (``up``) or its end (anything else).

    :raises NotFound: it has no such place
    :raises Conflict: the rule is there already
    """
    rest = removed(rules, index)
    target = index - 1 if direction == "up" else index + 1
    if target < 0:
        raise Conflict("already on top", index=index)
    if target >= len(rules):
        raise Conflict("already on bottom", index=index)
    return [*rest[:target], rules[index], *rest[target:]]


def _check_new(rules: Sequence[Rule], rule: Rule, owner: str) -> None:
    if any(other.target == rule.target for other in rules):
        raise Conflict(f"rule {rule} already defined in {owner}")


def _checked_address(text: str, field: str) -> str:
    if not text:
        return ""
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise InvalidInput(
            f"invalid {field} '{text[:60]}': not an IPv4 address", field=field
        ) from None
