# SPDX-License-Identifier: Apache-2.0
"""A guest's own security policy: rules of Nano's kind in its row, applied on its cell by a job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.orm import Session

from nano_api.errors import Conflict
from nano_api.guests import changes, service
from nano_api.guests.tables import Guest
from nano_api.jobs.service import Requester
from nano_api.jobs.tables import Job
from nano_api.security_policies.rules import (
    Rule,
    appended,
    check_action,
    moved,
    removed,
    replaced,
)


def of_guest(guest: Guest) -> tuple[str, list[Rule]]:
    """(default action, rules); without a policy everything is accepted."""
    rules = [Rule(**fields) for fields in guest.policy.get("rules", ())]
    return str(guest.policy.get("default_action", "accept")), rules


def stored(default_action: str, rules: Sequence[Rule]) -> dict[str, Any]:
    """What a guest's row keeps."""
    return {"default_action": default_action, "rules": [rule.stored() for rule in rules]}


def module_options(guest_id: str, policy: dict[str, Any]) -> dict[str, Any]:
    """The options of ``nano.cloud.security_policy``; the policy is named as the guest's id."""
    rules = [
        {
            "action": _action(rule["action"]),
            "protocol": rule["protocol"],
            "ports": [str(rule["to_port"])] if rule["to_port"] else [],
            "source": rule["from_address"] or None,
            "target": rule["to_address"] or None,
        }
        for rule in policy["rules"]
    ]
    action = _action(policy["default_action"])
    return {"name": guest_id, "default_action": action, "rules": rules}


def set_default_action(session: Session, guest_id: str, action: str, requester: Requester) -> Job:
    """What happens to packets that no rule is about: ``accept`` or ``reject``."""
    check_action(action, "action")

    def change(found: str, rules: list[Rule], _owner: str) -> tuple[str, list[Rule]]:
        if found == action:
            raise Conflict("no need to modify")
        return action, rules

    return _submit(session, guest_id, requester, change)


def append_rule(session: Session, guest_id: str, rule: Rule, requester: Requester) -> Job:
    """:raises CloudError: NotFound for the guest, Conflict for the rule"""
    return _submit(
        session, guest_id, requester, lambda found, rules, o: (found, appended(rules, rule, o))
    )


def replace_rule(
    session: Session, guest_id: str, index: int, rule: Rule, requester: Requester
) -> Job:
    """:raises CloudError: NotFound for the guest or the place, Conflict for the rule"""
    return _submit(
        session,
        guest_id,
        requester,
        lambda found, rules, o: (found, replaced(rules, index, rule, o)),
    )


def remove_rule(session: Session, guest_id: str, index: int, requester: Requester) -> Job:
    """:raises NotFound: there is no such guest or place"""
    return _submit(
        session, guest_id, requester, lambda found, rules, _o: (found, removed(rules, index))
    )


def move_rule(
    session: Session, guest_id: str, index: int, direction: str, requester: Requester
) -> Job:
    """:raises CloudError: NotFound for the guest or the place, Conflict when it is at its end"""
    return _submit(
        session,
        guest_id,
        requester,
        lambda found, rules, _o: (found, moved(rules, index, direction)),
    )


def _submit(
    session: Session,
    guest_id: str,
    requester: Requester,
    change: Callable[[str, list[Rule], str], tuple[str, list[Rule]]],
) -> Job:
    guest = changes.ready(session, guest_id)
    wanted = stored(*change(*of_guest(guest), f"guest '{guest.name}'"))
    return service.submit(session, "guest_policy", guest, requester, {"policy": wanted})


def _action(word: str) -> str:
    return "accept" if word == "accept" else "drop"
