"""/docs with Swagger UI from an installed package, so that it works without internet."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from pydantic_core import to_json
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles


def add_docs(app: FastAPI) -> None:
    """Serve /docs and its files, and lead / there. Links are relative, so a path prefix is fine."""
    assets = StaticFiles(directory=str(files("fastapi_swagger") / "resources"))
    app.mount("/docs-assets", assets, name="docs-assets")

    # Written once: it is large, and whoever asks for it often would have pods added.
    @cache
    def content() -> bytes:
        return to_json(app.openapi())

    @app.get("/openapi.json", include_in_schema=False)
    async def description() -> Response:
        return Response(content(), media_type="application/json")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url="docs-assets/swagger-ui-bundle.js",
            swagger_css_url="docs-assets/swagger-ui.css",
            swagger_favicon_url="docs-assets/favicon-32x32.png",
        )

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("docs")
