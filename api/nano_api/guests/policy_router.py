# SPDX-License-Identifier: Apache-2.0
"""``/guests/{id}/security_policy/…``: what may reach a guest.

The document's paths for single rules lack the guest: there it comes from the query (``id``) or
the body (``guest`` or ``id``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import Body, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, WireModel, reply
from nano_api.errors import InvalidInput
from nano_api.guests import policies, service
from nano_api.jobs.submitting import requester_of, submit_and_wait
from nano_api.jobs.tables import Job
from nano_api.security_policies.rules import Rule, checked_rule
from nano_api.security_policies.schemas import OrderBody, RuleBody, RuleOut, rule_out
from nano_api.sessions.dependency import CurrentSession

router = NanoRouter(tags=["guests"])


class PolicyOut(BaseModel):
    """What may reach a guest; the first rule that fits decides."""

    default_action: Literal["accept", "reject"]
    rules: list[RuleOut]


class DefaultActionIn(WireModel):
    """What happens to packets that no rule is about."""

    action: str = ""


class _NamesGuest(WireModel):
    guest: str = Field("", description="the guest, where the path does not name it")
    id: str = Field("", description="the same")


class RuleOfGuestIn(RuleBody, _NamesGuest):
    """A rule, and whose it is."""


class OrderOfGuestIn(OrderBody, _NamesGuest):
    """Which way to move a rule, and whose it is."""


class GuestNamedIn(_NamesGuest):
    """Whose rule it is."""


GuestInQuery = Annotated[str, Query(alias="id", description="the guest")]


@router.get("/guests/{id}/security_policy/", response_model=Envelope[PolicyOut])
def get_policy(
    id: str,  # noqa: A002  (the document's name)
    cloud: CurrentCloud,
    _caller: CurrentSession,
) -> Any:
    """The guest's own policy; a copy of the group's that it was created with."""
    with cloud.database.reading() as session:
        action, rules = policies.of_guest(service.get(session, id))
    return reply({"default_action": action, "rules": [rule_out(rule) for rule in rules]})


@router.put("/guests/{id}/security_policy/default_action", response_model=Envelope[str])
async def change_default_action(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[DefaultActionIn, Body(default_factory=DefaultActionIn)],
) -> Any:
    """Change what happens to packets that no rule is about; in force when it answers."""
    requester = requester_of(caller)
    return await _answer(
        cloud,
        response,
        lambda rows: policies.set_default_action(rows, id, body.action, requester),
    )


@router.post("/guests/{id}/security_policy/rules/", response_model=Envelope[str])
async def append_rule(
    id: str,  # noqa: A002
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[RuleBody, Body(default_factory=RuleBody)],
) -> Any:
    """A rule that is tried after those that the guest has."""
    requester, rule = requester_of(caller), _rule(body)
    return await _answer(
        cloud, response, lambda rows: policies.append_rule(rows, id, rule, requester)
    )


@router.put("/guests/{id}/security_policy/rules/{index}", response_model=Envelope[str])
async def change_rule(
    id: str,  # noqa: A002
    index: int,
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[RuleBody, Body(default_factory=RuleBody)],
) -> Any:
    """Replace a rule; its place stays."""
    requester, rule = requester_of(caller), _rule(body)
    return await _answer(
        cloud, response, lambda rows: policies.replace_rule(rows, id, index, rule, requester)
    )


@router.delete("/guests/{id}/security_policy/rules/{index}", response_model=Envelope[str])
async def delete_rule(
    id: str,  # noqa: A002
    index: int,
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
) -> Any:
    """Delete a rule; those after it move up."""
    requester = requester_of(caller)
    return await _answer(
        cloud, response, lambda rows: policies.remove_rule(rows, id, index, requester)
    )


@router.put("/guests/{id}/security_policy/rules/{index}/order", response_model=Envelope[str])
async def move_rule(
    id: str,  # noqa: A002
    index: int,
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[OrderBody, Body(default_factory=OrderBody)],
) -> Any:
    """Move a rule by one place."""
    requester = requester_of(caller)
    return await _answer(
        cloud,
        response,
        lambda rows: policies.move_rule(rows, id, index, body.direction, requester),
    )


@router.put("/guests/security_policy/rules/{index}", response_model=Envelope[str])
async def change_rule_of(
    index: int,
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[RuleOfGuestIn, Body(default_factory=RuleOfGuestIn)],
    guest: GuestInQuery = "",
) -> Any:
    """The document's path of changing a rule."""
    return await change_rule(_one_guest(guest, body), index, cloud, caller, response, body)


@router.delete("/guests/security_policy/rules/{index}", response_model=Envelope[str])
async def delete_rule_of(
    index: int,
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[GuestNamedIn, Body(default_factory=GuestNamedIn)],
    guest: GuestInQuery = "",
) -> Any:
    """The document's path of deleting a rule."""
    return await delete_rule(_one_guest(guest, body), index, cloud, caller, response)


@router.put("/guests/security_policy/rules/{index}/order", response_model=Envelope[str])
async def move_rule_of(
    index: int,
    cloud: CurrentCloud,
    caller: CurrentSession,
    response: Response,
    body: Annotated[OrderOfGuestIn, Body(default_factory=OrderOfGuestIn)],
    guest: GuestInQuery = "",
) -> Any:
    """The document's path of moving a rule."""
    return await move_rule(_one_guest(guest, body), index, cloud, caller, response, body)


def _one_guest(of_query: str, body: _NamesGuest) -> str:
    named = {each for each in (of_query, body.guest, body.id) if each}
    if len(named) != 1:
        what = "which guest is meant" if not named else "one guest, not several,"
        raise InvalidInput(
            f"say {what} in the query (?id=GUEST) or the body (guest), or use "
            "/guests/{id}/security_policy/rules/{index}",
            field="guest",
        )
    return named.pop()


def _rule(body: RuleBody) -> Rule:
    return checked_rule(
        body.action, body.protocol, body.from_address, body.to_address, body.to_port
    )


async def _answer(cloud: CurrentCloud, response: Response, submit: Callable[[Session], Job]) -> Any:
    await submit_and_wait(cloud, response, submit)
    return reply()
