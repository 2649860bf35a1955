# SPDX-License-Identifier: Apache-2.0
"""Security policy groups. Nothing here commits."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from nano_api.errors import Conflict, InvalidInput, NotFound
from nano_api.security_policies.rules import Rule, appended, check_action, moved, removed, replaced
from nano_api.security_policies.tables import SecurityPolicyGroup
from nano_api.users.names import check_account_name

from ansible_collections.nano.cloud.plugins.module_utils.names import check_text  # isort: skip

_MAX_NAME_LENGTH = 128
_MAX_DESCRIPTION_LENGTH = 1024


@dataclass(frozen=True)
class PolicyGroupSettings:
    """What a client wants a group to be."""

    name: str
    description: str
    owner: str
    group: str
    enabled: bool
    is_global: bool
    default_action: str


def search(
    session: Session, *, owner: str, group: str, enabled_only: bool, global_only: bool
) -> list[SecurityPolicyGroup]:
    """The groups that meet every condition that is given, by name. ``""`` and False are none."""
    query = select(SecurityPolicyGroup)
    if owner:
        query = query.where(SecurityPolicyGroup.owner == owner)
    if group:
        query = query.where(SecurityPolicyGroup.group == group)
    if enabled_only:
        query = query.where(SecurityPolicyGroup.enabled)
    if global_only:
        query = query.where(SecurityPolicyGroup.is_global)
    order = (SecurityPolicyGroup.name, SecurityPolicyGroup.created_at, SecurityPolicyGroup.id)
    return list(session.scalars(query.order_by(*order)))


def get(session: Session, group_id: str) -> SecurityPolicyGroup:
    """:raises NotFound: there is no such group"""
    found = session.get(SecurityPolicyGroup, group_id)
    if found is None:
        raise NotFound(f"invalid security policy group '{group_id[:80]}'", id=group_id[:80])
    return found


def create(session: Session, settings: PolicyGroupSettings) -> SecurityPolicyGroup:
    """A group without rules.

    :raises InvalidInput: a field is missing or breaks its rule
    """
    _check(settings)
    found = SecurityPolicyGroup(id=str(uuid.uuid4()), **asdict(settings), rules=[])
    session.add(found)
    session.flush()
    return found


def change(session: Session, group_id: str, settings: PolicyGroupSettings) -> None:
    """Replace the settings; the rules stay.

    :raises NotFound: there is no such group
    :raises InvalidInput: a field is missing or breaks its rule
    """
    found = get(session, group_id)
    _check(settings)
    for field, value in asdict(settings).items():
        setattr(found, field, value)


def remove(session: Session, group_id: str) -> None:
    """Delete a group; guests keep their copies.

    :raises NotFound: there is no such group
    """
    session.delete(get(session, group_id))
    session.flush()


def rules_of(found: SecurityPolicyGroup) -> list[Rule]:
    """A group's rules in their order."""
    return [Rule(**fields) for fields in found.rules]


def policy_to_copy(session: Session, group_id: str) -> tuple[str, list[Rule]]:
    """Default action and rules, for a guest that is being created.

    :raises NotFound: there is no such group
    :raises Conflict: it is disabled
    """
    found = get(session, group_id)
    if not found.enabled:
        raise Conflict(f"security policy group '{found.name}' is disabled", id=group_id)
    return found.default_action, rules_of(found)


def append_rule(session: Session, group_id: str, rule: Rule) -> None:
    """:raises CloudError: NotFound for the group, Conflict for the rule"""
    _change_rules(session, group_id, lambda rules, owner: appended(rules, rule, owner))


def replace_rule(session: Session, group_id: str, index: int, rule: Rule) -> None:
    """:raises CloudError: NotFound for the group or the place, Conflict for the rule"""
    _change_rules(session, group_id, lambda rules, owner: replaced(rules, index, rule, owner))


def remove_rule(session: Session, group_id: str, index: int) -> None:
    """:raises NotFound: there is no such group or place"""
    _change_rules(session, group_id, lambda rules, _owner: removed(rules, index))


def move_rule(session: Session, group_id: str, index: int, direction: str) -> None:
    """:raises CloudError: NotFound for the group or the place, Conflict when it is at its end"""
    _change_rules(session, group_id, lambda rules, _owner: moved(rules, index, direction))


def _change_rules(
    session: Session, group_id: str, changed: Callable[[list[Rule], str], list[Rule]]
) -> None:
    found = get(session, group_id)
    rules = changed(rules_of(found), f"policy group '{found.name}'")
    found.rules = [rule.stored() for rule in rules]


def _check(settings: PolicyGroupSettings) -> None:
    if not settings.name.strip():
        raise InvalidInput("name required", field="name")
    check_text(settings.name, "name", limit=_MAX_NAME_LENGTH)
    check_text(settings.description, "description", limit=_MAX_DESCRIPTION_LENGTH)
    check_account_name(settings.owner, "user")
    check_account_name(settings.group, "group")
    check_action(settings.default_action, "default_action")
