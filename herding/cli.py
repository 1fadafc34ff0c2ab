"""`python -m herding token ...`: tokens from the shell, for whoever may read the data directory."""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from herding.access.keys import signing_key
from herding.access.role_file import ADMIN, Roles
from herding.errors import HerdingError, NotFoundError, UserError
from herding.people.accounts import Accounts
from herding.people.authenticator import OPERATOR, Authenticator
from herding.serving.active import ActiveRequests
from herding.settings import read_settings
from herding.store import Store, now_ms
from herding.values import Principal, Token, User

DAY_MS = 24 * 3600 * 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when done, 1 when it was refused, 2 for wrong arguments."""
    wanted = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names are in any language, terminals are not
    try:
        asyncio.run(_run(wanted))
    except HerdingError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m herding", description="Access tokens of this Herding.")
    token = parser.add_subparsers(required=True, metavar="token").add_parser("token", help="create, list, end tokens")
    tasks = token.add_subparsers(dest="task", required=True)
    create = tasks.add_parser("create", help="make a token, for a new user or one that is there")
    create.add_argument("--user", required=True, help="id of the user")
    create.add_argument("--role", help="role of a new user; for one that is there, a weaker role of this token")
    create.add_argument("--name", default="token", help="what the token is for")
    create.add_argument("--days", type=float, help="how long it lasts; default: until it is revoked")
    listing = tasks.add_parser("list", help="show all tokens, without their secrets")
    listing.add_argument("--user", help="only this user's")
    for task, words in (("revoke", "end a token at once"), ("rotate", "replace a token; the old one works for a day")):
        tasks.add_parser(task, help=words).add_argument("id", help="the token's public part: hl_<id>_...")
    return parser


async def _run(wanted: argparse.Namespace) -> None:
    async with _accounts() as (accounts, who):
        if wanted.task == "create":
            if wanted.days is not None and not 0 < wanted.days <= 3660:
                raise UserError("--days is more than 0 and at most 3660.")
            print(await _create(accounts, wanted, who))
        elif wanted.task == "list":
            tokens = await accounts.tokens(who)
            for line in _table([token for token in tokens if wanted.user in (None, token.user)]):
                print(line)
        elif wanted.task == "revoke":
            await accounts.revoke(_id(wanted.id), who)
            print(f"The token {_id(wanted.id)} is revoked.")
        else:
            token, text = await accounts.rotate(_id(wanted.id), who)
            print(text)
            if token.expires_at is not None:
                print(f"It ends when the old one was to end: {_day(token.expires_at)} UTC.", file=sys.stderr)


@asynccontextmanager
async def _accounts() -> AsyncIterator[tuple[Accounts, Principal]]:
    """The accounts of the configured database; the app may run beside."""
    settings = read_settings()
    roles = Roles(settings.roles)
    secret = settings.secret_key.get_secret_value() if settings.secret_key else None
    key = signing_key(settings.home, secret)
    store = await Store.open(settings.database_url, beside_app=True)
    try:
        authenticator = Authenticator(store=store, roles=roles, key=key)
        yield (
            Accounts(store=store, roles=roles, authenticator=authenticator, active=ActiveRequests()),
            roles.principal("admin", ADMIN, token=OPERATOR),
        )
    finally:
        await store.close()


async def _create(accounts: Accounts, wanted: argparse.Namespace, who: Principal) -> str:
    """The text of a new token. A user who is not there yet is made with the role."""
    role: str | None = wanted.role
    try:
        user = await accounts.user(wanted.user, who)
    except NotFoundError:
        if role is None:
            raise UserError(f"There is no user '{wanted.user}'. Give --role to make one.") from None
        user = await accounts.add_user(User(wanted.user, wanted.user, role), who)
    ends = None if wanted.days is None else now_ms() + round(wanted.days * DAY_MS)
    weaker = role if role != user.role else None
    return (await accounts.create_token(user.id, wanted.name, who, role=weaker, expires_at=ends))[1]


def _id(text: str) -> str:
    """The public part of a token, also from its whole text."""
    return text.removeprefix("hl_").partition("_")[0]


def _table(tokens: Sequence[Token]) -> list[str]:
    heads = ("id", "user", "role", "name", "created", "ends", "last used", "state")
    rows = [heads, *(_row(token) for token in tokens)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(token: Token) -> tuple[str, ...]:
    over = token.expires_at is not None and token.expires_at <= now_ms()
    state = "revoked" if token.revoked_at else "over" if over else "valid"
    times = (_day(token.created_at), _day(token.expires_at), _day(token.last_used_at))
    return (token.id, token.user, token.role or "user's", token.name, *times, state)


def _day(ms: int | None) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M") if ms else "-"
