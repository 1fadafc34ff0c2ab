"""The page to log in at: a token becomes a session's cookie."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from string import Template
from types import MappingProxyType
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from herding.access.sessions import Session, new_guest
from herding.api.http.errors import problem_of
from herding.api.middleware.authentication import LOGIN, LOGOUT, set_cookie
from herding.errors import AuthenticationError, HerdingError, LimitError
from herding.people.authenticator import Authenticator

PAGE = Path(__file__).parent / "assets" / "login.html"
LOGO = Path(__file__).parents[2] / "ui" / "assets" / "herding.svg"
MAX_BODY = 4096

_NOTES = {"ended": "Your session is over, or its token was revoked. Log in again.", "out": "You are logged out."}
_AWAY = "Tokens cannot be checked now. Try again in a minute."
_GUEST = (
    '<form method="post" action="/login"><input type="hidden" name="guest" value="1">'
    '<button class="quiet" type="submit">Open as guest</button></form>'
)
_ADMIN = (
    '<form method="post" action="/login"><input type="hidden" name="local" value="1">'
    '<button class="quiet" type="submit">Go on as the admin of this machine</button></form>'
)


def router(authenticator: Authenticator) -> APIRouter:
    """Routes of sessions; they are open to all."""
    routes = APIRouter(include_in_schema=False)
    page = Template(PAGE.read_text(encoding="utf-8"))
    logo = LOGO.read_text(encoding="utf-8").strip()

    def show(note: str = "", status: int = 200, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
        tone = "" if status == 200 else " bad"
        said = f'<p class="note{tone}" role="alert">{html.escape(note)}</p>' if note else ""
        shown = page.substitute(logo=logo, note=said, other=_GUEST + _ADMIN * authenticator.trusts_all)
        return HTMLResponse(shown, status, headers={"Cache-Control": "no-store", **headers})

    def begin(session: Session, request: Request) -> Response:
        answer = RedirectResponse("/", 303)
        answer.headers["Set-Cookie"] = set_cookie(authenticator.cookie(session), session.lasts, request.scope)
        return answer

    @routes.get(LOGIN)
    async def form(request: Request) -> Response:
        note = next((said for name, said in _NOTES.items() if name in request.query_params), "")
        return show(note)

    @routes.post(LOGIN)
    async def log_in(request: Request) -> Response:
        fields = parse_qs(await _body(request))
        if "guest" in fields:
            return begin(new_guest("visitor"), request)
        if "local" in fields and authenticator.trusts_all:
            return _leave("/", request)
        token = fields.get("token", [""])[0].strip()
        try:
            who = await authenticator.by_token(token, request.state.address)
        except HerdingError as error:
            return show(*_refusal(error))
        return begin(authenticator.session_of(who), request)

    @routes.get(LOGOUT)
    async def stay() -> Response:
        return RedirectResponse(LOGIN, 303)  # a link may not log anybody out; without a route here it is Gradio's

    @routes.post(LOGOUT)
    async def log_out(request: Request) -> Response:
        return _leave(f"{LOGIN}?out=1", request)

    return routes


def _leave(to: str, request: Request) -> Response:
    answer = RedirectResponse(to, 303)
    answer.headers["Set-Cookie"] = set_cookie("", 0, request.scope)
    return answer


def _refusal(error: HerdingError) -> tuple[str, int, Mapping[str, str]]:
    """What the page says, with which status and headers."""
    problem = problem_of(error)
    told = isinstance(error, AuthenticationError | LimitError)
    return error.message if told else _AWAY, problem.status, problem.headers


async def _body(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return ""
    return body.decode("utf-8", "replace")
