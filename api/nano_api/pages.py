# SPDX-License-Identifier: Apache-2.0
"""The few pages for people: what runs here, and the API's own description, without internet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import Scope
from swagger_ui_bundle import swagger_ui_path

from nano_api import __version__

_ROOT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>nano-cloud</title>
<h1>nano-cloud {version}</h1>
<p>A private cloud on your own hosts. This address serves Project Nano's REST API.</p>
<ul><li><a href="{prefix}/docs">The API, to read and to try</a></li>
<li><a href="{prefix}/openapi.json">OpenAPI description</a></li></ul></html>
"""


def cross_origin(origins: list[str]) -> dict[str, Any]:
    """Options of the CORS middleware: what Nano allows, for these origins."""
    return {
        "allow_origins": origins,
        "allow_methods": ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"],
        "allow_headers": ["Nano-Session", "Authorization", "Content-Type"],
        "expose_headers": ["Nano-Job", "Signature", "ETag"],
    }


def install_pages(app: FastAPI, prefix: str, portal: Path | None) -> None:
    """Add ``<prefix>/docs`` and, at ``/``, the portal or a page that says what runs here."""
    assets = f"{prefix}/docs-assets"
    app.mount(assets, StaticFiles(directory=swagger_ui_path), name="docs-assets")

    @app.get(f"{prefix}/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=f"{prefix}/openapi.json",
            title="nano-cloud API",
            swagger_js_url=f"{assets}/swagger-ui-bundle.js",
            swagger_css_url=f"{assets}/swagger-ui.css",
            swagger_favicon_url=f"{assets}/favicon-32x32.png",
        )

    if portal is None:
        page = _ROOT.format(version=__version__, prefix=prefix)
        app.get("/", include_in_schema=False)(lambda: HTMLResponse(page))
    else:
        app.mount("/", Portal(directory=portal, api_prefix=prefix), name="portal")


class Portal(StaticFiles):
    """Nano's portal: its files, and its ``index.html`` for every path that it makes itself."""

    def __init__(self, *, directory: Path, api_prefix: str) -> None:
        super().__init__(directory=directory, html=True)
        self._api_prefix = api_prefix.strip("/")

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file; else ``index.html``, but never in place of an endpoint."""
        if path == self._api_prefix or path.startswith(f"{self._api_prefix}/"):
            raise HTTPException(404)
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404:
                raise
            return await super().get_response("index.html", scope)
