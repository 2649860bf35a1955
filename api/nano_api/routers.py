# SPDX-License-Identifier: Apache-2.0
"""Every router of the API, in the order of the document."""

from __future__ import annotations

import functools

from fastapi import APIRouter, Depends
from starlette.routing import BaseRoute

from nano_api import API_PREFIX
from nano_api.access import authorize
from nano_api.address_pools.router import router as address_pools
from nano_api.batches.router import router as batches
from nano_api.cells.maintenance_router import router as maintenance
from nano_api.cells.router import router as cells
from nano_api.compute_pools.router import router as compute_pools
from nano_api.consoles.router import router as consoles
from nano_api.drift.router import router as drift
from nano_api.guests.change_router import router as guest_changes
from nano_api.guests.policy_router import router as guest_policies
from nano_api.guests.router import router as guests
from nano_api.guests.system_router import router as guest_systems
from nano_api.images.router import disk_images, media_images
from nano_api.instances.router import router as instances
from nano_api.jobs.router import router as jobs
from nano_api.logs.router import router as logs
from nano_api.migrations.router import router as migrations
from nano_api.monitoring.router import router as monitoring
from nano_api.security_policies.router import router as security_policies
from nano_api.sessions.router import router as sessions
from nano_api.snapshots.router import router as snapshots
from nano_api.status.router import router as status
from nano_api.storage_pools.router import router as storage_pools
from nano_api.system.router import router as system
from nano_api.templates.router import router as templates
from nano_api.tokens.router import router as tokens
from nano_api.users.router import router as users
from nano_api.visibility.router import router as visibility

ROUTERS: tuple[APIRouter, ...] = (
    system,
    compute_pools,
    cells,
    maintenance,
    storage_pools,
    status,
    address_pools,
    guests,
    guest_changes,
    guest_systems,
    guest_policies,
    instances,
    snapshots,
    batches,
    migrations,
    consoles,
    drift,
    sessions,
    templates,
    media_images,
    disk_images,
    security_policies,
    users,
    visibility,
    tokens,
    logs,
    jobs,
)


@functools.cache
def all_routes() -> tuple[BaseRoute, ...]:
    """The routes of every router behind its path's prefix, each with its authorisation.

    Once per process: FastAPI works each of them out at the first request that asks for it.
    """
    whole = APIRouter(redirect_slashes=False, strict_content_type=False)
    for router in ROUTERS:
        whole.include_router(router, prefix=API_PREFIX, dependencies=[Depends(authorize)])
    whole.include_router(monitoring, dependencies=[Depends(authorize)])
    return tuple(whole.routes)
