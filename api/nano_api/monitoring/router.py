# SPDX-License-Identifier: Apache-2.0
"""``/metrics``, ``/healthz`` and ``/readyz``, outside of Nano's prefix."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from nano_api.cloud import CurrentCloud

router = APIRouter(tags=["monitoring"])


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """Figures in Prometheus' text format; scrape it with a token."""
    return Response(generate_latest(request.app.state.metrics), media_type=CONTENT_TYPE_LATEST)


@router.get("/healthz", include_in_schema=False)
def health() -> dict[str, Any]:
    """Whether this process lives at all."""
    return {"status": "ok"}


@router.get("/readyz", include_in_schema=False)
def readiness(cloud: CurrentCloud, response: Response) -> dict[str, Any]:
    """Whether requests can be served: the database answers. 503 when it does not."""
    try:
        with cloud.database.reading() as session:
            session.execute(select(1))
    except SQLAlchemyError:
        response.status_code = 503
        return {"status": "the database does not answer"}
    return {"status": "ok"}
