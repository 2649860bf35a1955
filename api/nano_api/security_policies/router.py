# SPDX-License-Identifier: Apache-2.0
"""``/security_policy_groups/``: rules to copy into guests when they are created."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Query

from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.security_policies import service
from nano_api.security_policies.rules import Rule, checked_rule
from nano_api.security_policies.schemas import (
    NewPolicyGroup,
    OrderBody,
    PolicyGroupBody,
    PolicyGroupOut,
    RuleBody,
    RuleOut,
    rule_out,
)
from nano_api.sessions.dependency import CurrentSession

router = NanoRouter(tags=["security policy groups"])

GroupBodyIn = Annotated[PolicyGroupBody, Body(default_factory=PolicyGroupBody)]
RuleBodyIn = Annotated[RuleBody, Body(default_factory=RuleBody)]


@router.get(
    "/search/security_policy_groups/",
    response_model=Envelope[list[PolicyGroupOut]],
    summary="Search security policy groups",
)
def search_groups(
    cloud: CurrentCloud,
    _caller: CurrentSession,
    owner: Annotated[str, Query(description="made by this user")] = "",
    group: Annotated[str, Query(description="of this user group")] = "",
    enabled_only: bool = False,
    global_only: bool = False,
) -> Any:
    """The groups that meet every condition, by name."""
    with cloud.database.reading() as session:
        found = service.search(
            session,
            owner=owner,
            group=group,
            enabled_only=enabled_only,
            global_only=global_only,
        )
    return reply([PolicyGroupOut.of(row) for row in found])


@router.get(
    "/security_policy_groups/{id}",
    response_model=Envelope[PolicyGroupOut],
    summary="Get a security policy group",
)
def get_group(
    id: str,  # noqa: A002  (the document's name)
    cloud: CurrentCloud,
    _caller: CurrentSession,
) -> Any:
    """One group without its rules."""
    with cloud.database.reading() as session:
        return reply(PolicyGroupOut.of(service.get(session, id)))


@router.post(
    "/security_policy_groups/",
    response_model=Envelope[NewPolicyGroup],
    summary="Create a security policy group",
)
def create_group(cloud: CurrentCloud, _caller: CurrentSession, body: GroupBodyIn) -> Any:
    """A group without rules."""
    with cloud.database.transaction() as session:
        found = service.create(session, body.settings())
    return reply({"id": found.id})


@router.put(
    "/security_policy_groups/{id}",
    response_model=Envelope[str],
    summary="Change a security policy group",
)
def change_group(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: GroupBodyIn,
) -> Any:
    """Replace the settings; the rules and the guests' copies stay."""
    with cloud.database.transaction() as session:
        service.change(session, id, body.settings())
    return reply()


@router.delete(
    "/security_policy_groups/{id}",
    response_model=Envelope[str],
    summary="Delete a security policy group",
)
def delete_group(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    _caller: CurrentSession,
) -> Any:
    """Guests keep their copies."""
    with cloud.database.transaction() as session:
        service.remove(session, id)
    return reply()


@router.get(
    "/security_policy_groups/{id}/rules/",
    response_model=Envelope[list[RuleOut]],
    summary="List a group's rules",
)
def list_rules(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    _caller: CurrentSession,
) -> Any:
    """In the order in which they are tried; a rule's index is its place in the list."""
    with cloud.database.reading() as session:
        rules = service.rules_of(service.get(session, id))
    return reply([rule_out(rule) for rule in rules])


@router.post(
    "/security_policy_groups/{id}/rules/",
    response_model=Envelope[str],
    summary="Append a rule to a group",
)
def append_rule(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: RuleBodyIn,
) -> Any:
    """It is tried after those that the group has."""
    with cloud.database.transaction() as session:
        service.append_rule(session, id, _rule(body))
    return reply()


@router.put(
    "/security_policy_groups/{id}/rules/{index}",
    response_model=Envelope[str],
    summary="Change a rule of a group",
)
def change_rule(
    id: str,  # noqa: A002
    index: int,
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: RuleBodyIn,
) -> Any:
    """Replace the rule; its place stays."""
    with cloud.database.transaction() as session:
        service.replace_rule(session, id, index, _rule(body))
    return reply()


@router.delete(
    "/security_policy_groups/{id}/rules/{index}",
    response_model=Envelope[str],
    summary="Delete a rule of a group",
)
def delete_rule(
    id: str,  # noqa: A002
    index: int,
    cloud: CurrentCloud,
    _caller: CurrentSession,
) -> Any:
    """The rules after it move up."""
    with cloud.database.transaction() as session:
        service.remove_rule(session, id, index)
    return reply()


@router.put(
    "/security_policy_groups/{id}/rules/{index}/order",
    response_model=Envelope[str],
    summary="Move a rule of a group up or down",
)
def move_rule(
    id: str,  # noqa: A002
    index: int,
    cloud: CurrentCloud,
    _caller: CurrentSession,
    body: Annotated[OrderBody, Body(default_factory=OrderBody)],
) -> Any:
    """By one place."""
    with cloud.database.transaction() as session:
        service.move_rule(session, id, index, body.direction)
    return reply()


def _rule(body: RuleBody) -> Rule:
    return checked_rule(
        body.action, body.protocol, body.from_address, body.to_address, body.to_port
    )
