"""The web app without the UI: its routes and its middleware, each in one list."""

from __future__ import annotations

from fastapi import APIRouter, Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig

from herding import __version__
from herding.api.http import errors
from herding.api.http.origins import EXPOSED_HEADERS, AllowedOrigins
from herding.api.http.request import QueryCheck
from herding.api.legacy import chat, registry
from herding.api.middleware.authentication import AuthenticationMiddleware
from herding.api.middleware.bodies import BodiesMiddleware
from herding.api.middleware.heads import HeadMiddleware, ProxyHeadersMiddleware
from herding.api.middleware.open_responses import OpenResponseMiddleware, OpenResponses
from herding.api.middleware.prompt_links import PromptLinkMiddleware
from herding.api.middleware.root_path import RootPathMiddleware, RoutedPathMiddleware
from herding.api.native import accounts, collections, history, infer, insights, nodes, prompts, ratings, usage, versions
from herding.api.openai import routes as openai
from herding.api.site import docs, health, login, not_found
from herding.orchestrator import Orchestrator
from herding.people.authenticator import Authenticator
from herding.settings import Settings

_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""Off: `/metrics` has the metrics."""

_MODEL_ROUTERS = (infer, openai, chat)
"""The routes that call models, which get most requests."""

_ROUTERS = (
    ratings,
    versions,
    prompts,
    history,
    insights,
    nodes,
    registry,
    usage,
    collections,
    accounts,
    health,
)
"""In the order in which their routes are matched: the most used first."""


def create_app(orchestrator: Orchestrator, authenticator: Authenticator) -> FastAPI:
    """Return an app with all routes of the API and no middleware yet."""
    app = FastAPI(
        title="Herding",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry=_TELEMETRY,
        generate_unique_id_function=_operation_id,
    )
    query_check = QueryCheck()
    for module in _MODEL_ROUTERS:
        _add_routes(app, module.router(orchestrator), query_check)
    for module in _ROUTERS:
        app.include_router(module.router(orchestrator), dependencies=[Depends(query_check)])
    app.include_router(login.router(authenticator))
    app.include_router(docs.router(app))
    app.include_router(not_found.router())  # last: it matches every other path of the APIs
    errors.install(app)
    return app


def _add_routes(app: FastAPI, router: APIRouter, query_check: QueryCheck) -> None:
    """Add the routes of a router to the app itself: an included router matches each request twice."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            route.unique_id = _operation_id(route)
            route.app = query_check.before(route)
        app.router.routes.append(route)


def _operation_id(route: APIRoute) -> str:
    return route.name


def add_middleware(
    app: FastAPI,
    orchestrator: Orchestrator,
    authenticator: Authenticator,
    open_responses: OpenResponses,
    settings: Settings,
) -> None:
    """Add the middleware of the API and the UI, from the innermost to the outermost."""
    origins = AllowedOrigins(settings.cors_origins, lambda: authenticator.token_origins)
    root_path, hops = settings.root_path, settings.trusted_proxies
    below_a_path = bool(root_path or hops)
    if below_a_path:
        app.add_middleware(RoutedPathMiddleware)
    app.add_middleware(BodiesMiddleware, max_body=settings.max_body, max_guest_body=settings.max_guest_body)
    app.add_middleware(AuthenticationMiddleware, authenticator=authenticator, origins=origins)
    app.add_middleware(  # its presence also switches off Gradio's, which allows all
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=EXPOSED_HEADERS,
    )
    authenticate_guest = authenticator.authenticate_guest
    app.add_middleware(PromptLinkMiddleware, orchestrator=orchestrator, authenticate_guest=authenticate_guest)
    app.add_middleware(HeadMiddleware, allowed_hosts=settings.host_names, origins=origins)
    app.add_middleware(ProxyHeadersMiddleware, hops=hops)
    frame_ancestors = settings.frame_ancestors
    app.add_middleware(OpenResponseMiddleware, open_responses=open_responses, frame_ancestors=frame_ancestors)
    if below_a_path:
        app.add_middleware(RootPathMiddleware, root_path=root_path, hops=hops)
