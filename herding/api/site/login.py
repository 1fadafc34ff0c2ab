"""The login page, which exchanges a token for a session cookie."""

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
from herding.api.middleware.authentication import LOGIN, LOGOUT, session_cookie
from herding.errors import AuthenticationError, HerdingError, LimitError
from herding.people.authenticator import Authenticator

PAGE = Path(__file__).parent / "assets" / "login.html"
LOGO = Path(__file__).parents[2] / "ui" / "assets" / "herding.svg"
MAX_BODY = 4096

_NOTES = {
    "ended": "Your session has ended, or its token was revoked. Log in again.",
    "out": "You are logged out.",
}
_UNAVAILABLE = "Tokens can't be checked right now. Try again in a minute."
_GUEST = (
    '<form method="post" action="/login"><input type="hidden" name="guest" value="1">'
    '<button class="quiet" type="submit">Continue as guest</button></form>'
)
_ADMIN = (
    '<form method="post" action="/login"><input type="hidden" name="local" value="1">'
    '<button class="quiet" type="submit">Continue as local admin</button></form>'
)


def router(authenticator: Authenticator) -> APIRouter:
    """Return the routes of login and logout, which need no rights."""
    routes = APIRouter(include_in_schema=False)
    page = Template(PAGE.read_text(encoding="utf-8"))
    logo = LOGO.read_text(encoding="utf-8").strip()

    def render_page(note: str = "", status: int = 200, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
        tone = "" if status == 200 else " bad"
        alert = f'<p class="note{tone}" role="alert">{html.escape(note)}</p>' if note else ""
        text = page.substitute(logo=logo, note=alert, other=_GUEST + _ADMIN * authenticator.trusts_all)
        return HTMLResponse(text, status, headers={"Cache-Control": "no-store", **headers})

    def start_session(session: Session, request: Request) -> Response:
        response = RedirectResponse("/", 303)
        response.headers["Set-Cookie"] = session_cookie(
            authenticator.sign_session(session), session.max_age, request.scope
        )
        return response

    @routes.get(LOGIN)
    async def show_login_form(request: Request) -> Response:
        note = next((text for name, text in _NOTES.items() if name in request.query_params), "")
        return render_page(note)

    @routes.post(LOGIN)
    async def log_in(request: Request) -> Response:
        fields = parse_qs(await _body(request))
        if "guest" in fields:
            return start_session(new_guest("visitor"), request)
        if "local" in fields and authenticator.trusts_all:
            return _end_session("/", request)
        token = fields.get("token", [""])[0].strip()
        try:
            who = await authenticator.authenticate_token(token, request.state.address)
        except HerdingError as error:
            return render_page(*_refusal(error))
        return start_session(authenticator.create_session(who), request)

    @routes.get(LOGOUT)
    async def redirect_logout_link() -> Response:
        return RedirectResponse(LOGIN, 303)  # a link must not log users out; without this route Gradio's would

    @routes.post(LOGOUT)
    async def log_out(request: Request) -> Response:
        return _end_session(f"{LOGIN}?out=1", request)

    return routes


def _end_session(to: str, request: Request) -> Response:
    response = RedirectResponse(to, 303)
    response.headers["Set-Cookie"] = session_cookie("", 0, request.scope)
    return response


def _refusal(error: HerdingError) -> tuple[str, int, Mapping[str, str]]:
    """Return the message of the page, its status and its headers."""
    problem = problem_of(error)
    is_refused = isinstance(error, AuthenticationError | LimitError)
    return error.message if is_refused else _UNAVAILABLE, problem.status, problem.headers


async def _body(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return ""
    return body.decode("utf-8", "replace")
