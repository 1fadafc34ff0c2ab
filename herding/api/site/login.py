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
from herding.api.http.request import root_path
from herding.api.middleware.authentication import LOGIN, LOGOUT, session_cookie, session_values
from herding.errors import AuthenticationError, HerdingError, LimitError, StoreError
from herding.people.authenticator import Authenticator

PAGE = Path(__file__).parent / "assets" / "login.html"
LOGO = Path(__file__).parents[2] / "ui" / "assets" / "herding.svg"
MAX_BODY = 4096

_NOTES = {
    "ended": "Your session has ended, or its token was revoked. Log in again.",
    "out": "You are logged out.",
}
_NOT_OUT = "You could not be logged out right now. Try again in a minute."
_UNAVAILABLE = "Tokens can't be checked right now. Try again in a minute."
_OTHER = (
    '<form method="post" action="{action}"><input type="hidden" name="{name}" value="1">'
    '<button class="quiet" type="submit">{label}</button></form>'
)


def router(authenticator: Authenticator) -> APIRouter:
    """Return the routes of login and logout, which need no rights."""
    routes = APIRouter(include_in_schema=False)
    page, sessions = LoginPage(authenticator), SessionCookies(authenticator)

    @routes.get(LOGIN)
    async def show_login_form(request: Request) -> Response:
        note = next((text for name, text in _NOTES.items() if name in request.query_params), "")
        return page.render(request, note)

    @routes.post(LOGIN)
    async def log_in(request: Request) -> Response:
        fields = parse_qs(await _body(request))
        try:
            if "local" in fields and authenticator.trusts_all:
                return await sessions.end("/", request)
            if "guest" in fields:
                session = new_guest("visitor")
            else:
                token = fields.get("token", [""])[0].strip()
                who = await authenticator.authenticate_token(token, request.state.address)
                session = await authenticator.create_session(who)
            await sessions.forget(request)  # the earlier session of this browser
        except HerdingError as error:
            return page.render(request, *_refusal(error))
        return sessions.start(session, request)

    @routes.get(LOGOUT)
    async def redirect_logout_link(request: Request) -> Response:
        # A link must not log users out; without this route Gradio's would.
        return RedirectResponse(root_path(request.scope) + LOGIN, 303)

    @routes.post(LOGOUT)
    async def log_out(request: Request) -> Response:
        try:
            return await sessions.end(f"{LOGIN}?out=1", request)
        except StoreError:  # the cookie stays, since its session does
            return page.render(request, _NOT_OUT, 503)

    return routes


class SessionCookies:
    """Starts and ends the session of a browser."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def start(self, session: Session, request: Request) -> Response:
        """Return a redirect to the page, with the cookie of a session."""
        response = RedirectResponse(f"{root_path(request.scope)}/", 303)
        value = self._authenticator.sign_session(session)
        response.headers["Set-Cookie"] = session_cookie(value, session.max_age, request.scope)
        return response

    async def end(self, to: str, request: Request) -> Response:
        """End the session and return a redirect that removes its cookie."""
        await self.forget(request)
        response = RedirectResponse(root_path(request.scope) + to, 303)
        response.headers["Set-Cookie"] = session_cookie("", 0, request.scope)
        return response

    async def forget(self, request: Request) -> None:
        """End the session that the request belongs to, on the server only."""
        for value in session_values(request.scope):
            await self._authenticator.end_session(value)


class LoginPage:
    """The page."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._page = Template(PAGE.read_text(encoding="utf-8"))
        self._logo = LOGO.read_text(encoding="utf-8").strip()

    def render(
        self, request: Request, note: str = "", status: int = 200, headers: Mapping[str, str] = MappingProxyType({})
    ) -> Response:
        """Return the page with a note."""
        action = html.escape(root_path(request.scope) + LOGIN)
        tone = "" if status == 200 else " bad"
        alert = f'<p class="note{tone}" role="alert">{html.escape(note)}</p>' if note else ""
        others = {"guest": "Continue as guest"}
        if self._authenticator.trusts_all:
            others["local"] = "Continue as local admin"
        other = "".join(_OTHER.format(action=action, name=name, label=others[name]) for name in others)
        text = self._page.substitute(logo=self._logo, note=alert, other=other, action=action)
        return HTMLResponse(text, status, headers={"Cache-Control": "no-store", **headers})


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
