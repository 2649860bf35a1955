# SPDX-License-Identifier: Apache-2.0
"""The application: routers, error replies, and what runs beside them while it serves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from starlette.concurrency import run_in_threadpool

from nano_api import API_PREFIX, __version__
from nano_api.body_limit import BodyLimit
from nano_api.cloud import Cloud
from nano_api.compute_pools.service import ensure_default
from nano_api.conditional_replies import ConditionalReplies
from nano_api.consoles.streams import Doors
from nano_api.database import Database
from nano_api.description import install_description
from nano_api.envelope import install_error_replies
from nano_api.images.upload import sweep_leftovers
from nano_api.lenient_bodies import JsonBodies
from nano_api.logs.trail import Trail
from nano_api.monitoring.metrics import registry_of
from nano_api.monitoring.requests import RequestMetrics, RequestTrail
from nano_api.pages import cross_origin, install_pages
from nano_api.schema_versions import upgrade
from nano_api.secrets_box import SecretsBox
from nano_api.settings import Settings
from nano_api.templates.service import add_defaults


def create_cloud(settings: Settings) -> Cloud:
    """Open (and where needed make) everything that lives in the data folder."""
    settings.prepare_folders()
    database = Database(settings.effective_database_url)
    upgrade(database)
    with database.transaction() as session:
        ensure_default(session)
        add_defaults(session)
    return Cloud(settings, database, SecretsBox.at(settings.data / "secret.key"))


def create_app(settings: Settings, *, background: bool = True) -> FastAPI:
    """The service as an ASGI application.

    ``background=False`` leaves out the worker, the observer and the inventory watcher: jobs stay
    queued. Only tests of the wire want that.
    """
    cloud = create_cloud(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(sweep_leftovers, cloud)
        async with AsyncExitStack() as stack:
            stack.callback(cloud.database.close)
            if background:
                from nano_api.background import running

                stack.enter_context(running(cloud))
            yield

    from nano_api.routers import all_routes

    app = FastAPI(
        title="nano-cloud",
        version=__version__,
        routes=list(all_routes()),
        openapi_url=f"{API_PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        strict_content_type=False,
        lifespan=lifespan,
    )
    app.state.cloud = cloud
    app.state.doors = Doors()
    install_error_replies(app)
    app.state.metrics = registry_of(cloud)
    app.add_middleware(Trail, prefix=API_PREFIX)
    app.add_middleware(JsonBodies)
    app.add_middleware(BodyLimit, largest_bytes=settings.max_body_bytes)
    app.add_middleware(ConditionalReplies)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=1)
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, **cross_origin(settings.cors_origins))
    app.add_middleware(RequestTrail, metrics=RequestMetrics(app.state.metrics))
    install_description(app)
    install_pages(app, API_PREFIX, settings.portal_dir)
    return app
