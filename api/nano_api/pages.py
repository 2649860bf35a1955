# SPDX-License-Identifier: Apache-2.0
"""The few pages for people: what runs here, and the API's own description, without internet."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from nano_api import __version__

_ROOT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>nano-cloud</title>
<h1>nano-cloud {version}</h1>
<p>A private cloud on your own hosts. This address serves Project Nano's REST API.</p>
<ul><li><a href="{prefix}/docs">The API, to read and to try</a></li>
<li><a href="{prefix}/openapi.json">OpenAPI description</a></li></ul></html>
"""


def install_pages(app: FastAPI, prefix: str) -> None:
    """Add ``/``, ``<prefix>/docs`` and the files that it needs."""
    assets = f"{prefix}/docs-assets"
    app.mount(assets, StaticFiles(directory=swagger_ui_path), name="docs-assets")

    @app.get("/", include_in_schema=False)
    def root() -> HTMLResponse:
        return HTMLResponse(_ROOT.format(version=__version__, prefix=prefix))

    @app.get(f"{prefix}/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=f"{prefix}/openapi.json",
            title="nano-cloud API",
            swagger_js_url=f"{assets}/swagger-ui-bundle.js",
            swagger_css_url=f"{assets}/swagger-ui.css",
            swagger_favicon_url=f"{assets}/favicon-32x32.png",
        )
