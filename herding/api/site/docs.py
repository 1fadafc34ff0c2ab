"""The interactive documentation at `/docs`, from our own host."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse

from herding.access.operations import DOCS
from herding.access.roles import require
from herding.api.http.deps import Caller
from herding.api.http.reply import dump
from herding.errors import NotFoundError

_FILES = Path(fastapi_offline.__file__).parent / "static"
_SERVED = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
_ICON = (
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 10 10'><circle cx='5' cy='5' r='5'/></svg>"
)


def router(app: FastAPI) -> APIRouter:
    """The description of all routes of `app`, and the page that shows it."""
    routes = APIRouter(include_in_schema=False)

    @cache
    def described() -> bytes:
        return dump(describe(app))

    @routes.get("/openapi.json")
    async def openapi(who: Caller) -> Response:
        require(who, DOCS)
        return Response(described(), media_type="application/json")

    @routes.get("/docs")
    async def docs(who: Caller) -> Response:
        require(who, DOCS)
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=f"{app.title} API",
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url=_ICON,
            swagger_ui_parameters={"persistAuthorization": False, "tryItOutEnabled": True, "validatorUrl": None},
        )

    @routes.get("/docs/{file}")
    async def asset(file: str, who: Caller) -> Response:
        require(who, DOCS)
        if file not in _SERVED:
            raise NotFoundError("There is no such file.")
        return FileResponse(
            _FILES / file, media_type=_SERVED[file], headers={"Cache-Control": "private, max-age=86400"}
        )

    return routes


def describe(app: FastAPI) -> dict[str, Any]:
    """The routes of `app` as OpenAPI. A token goes into the header; without one you are whom the app takes you for."""
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    bearer = {"type": "http", "scheme": "bearer", "description": "An access token. Guests need none."}
    made.setdefault("components", {})["securitySchemes"] = {"token": bearer}
    for name in ("HTTPValidationError", "ValidationError"):
        made["components"].get("schemas", {}).pop(name, None)
    made["security"] = [{"token": []}, {}]
    for operation in (operation for path in made["paths"].values() for operation in path.values()):
        operation["responses"].pop("422", None)  # described as 4XX, in the shape that is really sent
    return made
