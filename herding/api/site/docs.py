"""The OpenAPI description and the interactive documentation at `/docs`, without any other host."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse

from herding.access.operations import DOCS
from herding.access.roles import require
from herding.api.http.errors import error_schemas
from herding.api.http.request import Caller, root_path
from herding.api.native.collections import document_schemas
from herding.errors import NotFoundError

_DESCRIPTION = """Run versioned prompts and chats on a herd of models.

Other paths of the same operations:

- `GET /<alias>` for `GET /api/v1/run/{prompt}`, for each alias that a prompt defines
- `POST /api/v1/chat/completions` with `messages` for `POST /v1/chat/completions`

Older names of fields: `prompt_key` and `raw_inputs` for `prompt` and `variables` of `/api/v1/infer`, which then
answers `text`, `inference_id` and `model` only; `inference_id` for `request_id`; `feedback` for `comment`.
"""

_FILES = Path(fastapi_offline.__file__).parent / "static"
_SERVED = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
_ICON = (
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 10 10'><circle cx='5' cy='5' r='5'/></svg>"
)


def router(app: FastAPI) -> APIRouter:
    """Return the routes of the documentation of `app`."""
    routes = APIRouter(include_in_schema=False)

    @lru_cache(8)
    def description(root: str) -> bytes:
        servers = {"servers": [{"url": root}]} if root else {}
        return json.dumps(describe(app) | servers).encode()

    @routes.get("/openapi.json")
    async def openapi(who: Caller, request: Request) -> Response:
        require(who, DOCS)
        return Response(description(root_path(request.scope)), media_type="application/json")

    @routes.get("/docs")
    async def docs(who: Caller, request: Request) -> Response:
        require(who, DOCS)
        root = root_path(request.scope)
        return get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json",
            title=f"{app.title} API",
            swagger_js_url=f"{root}/docs/swagger-ui-bundle.js",
            swagger_css_url=f"{root}/docs/swagger-ui.css",
            swagger_favicon_url=_ICON,
            swagger_ui_parameters={"persistAuthorization": False, "tryItOutEnabled": True, "validatorUrl": None},
        )

    @routes.get("/docs/{file}")
    async def asset(file: str, who: Caller) -> Response:
        require(who, DOCS)
        if file not in _SERVED:
            raise NotFoundError("This file does not exist.")
        return FileResponse(
            _FILES / file, media_type=_SERVED[file], headers={"Cache-Control": "private, max-age=86400"}
        )

    return routes


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description of the routes of `app`. A token is optional: guests need none."""
    described = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
    bearer = {"type": "http", "scheme": "bearer", "description": "An access token. Guests need none."}
    described["components"]["schemas"] |= error_schemas() | document_schemas()
    described["components"]["securitySchemes"] = {"token": bearer}
    described["security"] = [{"token": []}, {}]
    return described
