# SPDX-License-Identifier: Apache-2.0
"""``/tokens/``: long-lived log-ins of machines. Ours, not Nano's."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body

from nano_api.clock import wire_time
from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.sessions.dependency import CurrentSession
from nano_api.tokens import service
from nano_api.tokens.schemas import NewToken, TokenBody, TokenOut

router = NanoRouter(tags=["tokens"])


@router.get("/tokens/", response_model=Envelope[list[TokenOut]], summary="List your tokens")
def list_tokens(cloud: CurrentCloud, caller: CurrentSession) -> Any:
    """By name, with their last use."""
    with cloud.database.reading() as session:
        found = service.tokens_of(session, caller.user)
    return reply(
        [
            {
                "id": row.id,
                "name": row.name,
                "menu": row.menu,
                "create_time": wire_time(row.created_at),
                "expire_time": wire_time(row.expires_at),
                "last_used_time": wire_time(row.last_used_at),
                "last_used_from": row.last_used_from or None,
            }
            for row in found
        ]
    )


@router.post("/tokens/", response_model=Envelope[NewToken], summary="Make a token")
def create_token(
    cloud: CurrentCloud,
    caller: CurrentSession,
    body: Annotated[TokenBody, Body(default_factory=TokenBody)],
) -> Any:
    """For a machine that acts for you. The token is told once, here."""
    with cloud.database.transaction() as session:
        row, token = service.create(session, caller, **body.model_dump())
    return reply({"id": row.id, "token": token})


@router.delete("/tokens/{id}", response_model=Envelope[str], summary="Revoke a token")
def revoke_token(id: str, cloud: CurrentCloud, caller: CurrentSession) -> Any:  # noqa: A002
    """It is worth nothing from now on."""
    with cloud.database.transaction() as session:
        service.revoke(session, id, caller.user)
    return reply()
