"""The `herding` command: serve the app, and manage access tokens of its database.

Every user who can read the data directory may manage tokens, also while the app runs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from herding.access.keys import signing_key
from herding.access.role_file import ADMIN, Roles
from herding.errors import ConfigError, HerdingError, NotFoundError, UserError
from herding.knowledge.collections import is_name
from herding.knowledge.documents import add_documents, kind_of, kinds, read_document
from herding.knowledge.embedder import DEFAULT_MODEL
from herding.people.accounts import Accounts
from herding.people.authenticator import OPERATOR, Authenticator
from herding.serving.request import ActiveRequests
from herding.settings import read_settings, revealed
from herding.store import Store, now_ms
from herding.values import Collection, NewDocument, Principal, Token, User
from herding.values.durations import DAY_MS

_STEP = 20
"""Documents that are added at once."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Return exit status 0 when done, 1 when refused, 2 for wrong arguments or settings."""
    options = _parser().parse_args(arguments)
    if options.command == "serve":
        return _serve(options)
    if options.command == "discord":
        from herding.main import main_discord

        return main_discord(**({"server": options.server} if options.server else {}))
    if options.command == "plugins":
        return _list_plugins()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names are in any language, terminals are not
    try:
        asyncio.run(_manage_collections(options) if options.command == "collections" else _manage_tokens(options))
    except HerdingError as error:
        print(error.message, file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="herding", description="A prompt workbench and model orchestrator.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run the app")
    serve.add_argument("--host", help="address to listen on; default: HERDING_HOST or 127.0.0.1")
    serve.add_argument("--port", type=int, help="port to listen on; default: HERDING_PORT or 7860")
    discord = commands.add_parser("discord", help="run the Discord bot beside a server, as a process of its own")
    discord.add_argument("--server", help="URL of the server; default: HERDING_SERVER or http://127.0.0.1:7860")
    commands.add_parser("plugins", help="list the installed plugins with their state")
    token = commands.add_parser("token", help="create, list, rotate and revoke access tokens")
    tasks = token.add_subparsers(dest="task", required=True)
    create = tasks.add_parser("create", help="create a token for a new or an existing user")
    create.add_argument("--user", required=True, help="user ID")
    create.add_argument("--role", help="role of a new user; for an existing user, a lesser role of this token")
    create.add_argument("--name", default="token", help="purpose of the token")
    create.add_argument("--days", type=float, help="days until it expires; default: never")
    listing = tasks.add_parser("list", help="list all tokens without their secrets")
    listing.add_argument("--user", help="only tokens of this user")
    for task, text in (("revoke", "end a token now"), ("rotate", "replace a token; the old one works for a day")):
        tasks.add_parser(task, help=text).add_argument("id", help="the token's public part: hl_<id>_...")
    _add_collection_tasks(commands.add_parser("collections", help="fill and delete collections of documents"))
    return parser


def _add_collection_tasks(parser: argparse.ArgumentParser) -> None:
    tasks = parser.add_subparsers(dest="task", required=True)
    tasks.add_parser("list", help="list all collections with their documents by state")
    add = tasks.add_parser("add", help="add files, and those below directories; the running app indexes them")
    add.add_argument("name", help="name of the collection; it is created if there is none")
    add.add_argument("paths", nargs="+", type=Path, help="files and directories")
    add.add_argument("--model", default=DEFAULT_MODEL, help=f"embedding model of a new collection: {DEFAULT_MODEL}")
    tasks.add_parser("documents", help="list the documents of a collection").add_argument("name")
    delete = tasks.add_parser("delete", help="delete a collection, or documents of it")
    delete.add_argument("name")
    delete.add_argument("--document", action="append", help="ID of a document; default: the whole collection")


def _serve(options: argparse.Namespace) -> int:
    gc.disable()  # until the app runs, as in app.py

    from herding.main import main as run_app  # imports Gradio, which takes seconds

    given = {"host": options.host, "port": options.port}
    return run_app(**{name: value for name, value in given.items() if value is not None})


def _list_plugins() -> int:
    """Print the plugins. Return 1 if one of them failed."""
    from herding.main import load_plugins  # takes a second to import

    try:
        infos = load_plugins(read_settings().plugins_off).infos
    except ConfigError as error:
        print(error.message, file=sys.stderr)
        return 2
    for info in infos:
        print(f"{info.name}  {info.state}  ({info.package} {info.version})")
        for line in (*info.provides, *filter(None, [info.problem])):
            print(f"    {line}")
    if not infos:
        print("No plugins are installed.")
    return 1 if any(info.state == "failed" for info in infos) else 0


async def _manage_tokens(options: argparse.Namespace) -> None:
    async with _open_accounts() as (accounts, who):
        if options.task == "create":
            if options.days is not None and not 0 < options.days <= 3660:
                raise UserError("--days must be above 0 and at most 3660.")
            print(await _create(accounts, options, who))
        elif options.task == "list":
            tokens = await accounts.tokens(who)
            for line in _table([token for token in tokens if options.user in (None, token.user)]):
                print(line)
        elif options.task == "revoke":
            await accounts.revoke(_public_part(options.id), who)
            print(f"Token {_public_part(options.id)} revoked.")
        else:
            token, text = await accounts.rotate(_public_part(options.id), who)
            print(text)
            if token.expires_at is not None:
                print(f"It expires when the old token would have: {_minute(token.expires_at)} UTC.", file=sys.stderr)


async def _manage_collections(options: argparse.Namespace) -> None:
    settings = read_settings()
    store = await Store.open(settings.database_url, beside_app=True)
    try:
        if options.task == "list":
            for found in await store.collections():
                states = f"{_count(found.documents, 'document')}, {found.waiting} waiting, {found.failed} failed"
                print(f"{found.name}  {states}, {_count(found.chunks, 'chunk')}  {found.embedding_model}")
        elif options.task == "documents":
            await _list_documents(store, options.name)
        elif options.task == "add":
            await _add_files(store, options)
        elif options.document:
            collection = await store.collection(options.name)
            print(f"{_count(await store.delete_documents(collection.id, options.document), 'document')} deleted.")
        else:
            await store.delete_collection(options.name)
            print(f"Collection {options.name} deleted.")
    finally:
        await store.close()


async def _list_documents(store: Store, name: str) -> None:
    collection, offset = await store.collection(name), 0
    while page := await store.documents(collection.id, limit=1_000, offset=offset):
        for document in page:
            why = f"  {document.error}" if document.error else ""
            print(f"{document.key}  {document.state}  {document.done}/{document.total} chunks{why}")
        offset += len(page)


async def _add_files(store: Store, options: argparse.Namespace) -> None:
    """Add files in the form in which the app indexes them, at once or when it starts."""
    files = sorted(set(_files(options.paths)))
    if not any(kind_of(name) for name, _ in files):
        raise UserError(f"No document to add. Files of these kinds are read: {', '.join(kinds())}.")
    try:
        collection = await store.collection(options.name)
    except NotFoundError:
        if not is_name(options.name):
            raise UserError("The name of a collection has up to 64 letters, digits and . _ -") from None
        await store.add_collection(Collection(options.name, options.model, created_at=now_ms(), created_by=OPERATOR))
        collection = await store.collection(options.name)
    added = unchanged = 0
    for start in range(0, len(files), _STEP):
        if not (part := list(_documents(files[start : start + _STEP]))):
            continue
        job = await add_documents(store, collection, part, changed_by=OPERATOR, now=now_ms())
        added, unchanged = added + job.documents, unchanged + job.unchanged
    print(f"{_count(added, 'document')} added, {unchanged} unchanged. The app indexes what was added while it runs.")


def _documents(files: Sequence[tuple[str, Path]]) -> Iterator[NewDocument]:
    """Yield files as documents, and print why others are left out."""
    for name, path in files:
        try:
            yield read_document(path, name)
        except UserError as error:
            print(f"{name if name.isprintable() else ascii(name)}: left out, {error.message}", file=sys.stderr)


def _files(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Yield the files at and below `paths`, each with its name in the collection; hidden ones are left out."""
    for path in paths:
        if path.is_file():
            yield path.name, path
        elif path.is_dir():
            for file in path.rglob("*"):
                name = file.relative_to(path)
                if file.is_file() and not any(part.startswith((".", "__pycache__")) for part in name.parts):
                    yield (Path(path.resolve().name) / name).as_posix(), file
        else:
            raise UserError(f"'{path}' is neither a file nor a directory.")


@asynccontextmanager
async def _open_accounts() -> AsyncIterator[tuple[Accounts, Principal]]:
    """Open the accounts of the configured database, beside a running app or without one."""
    settings = read_settings()
    roles = Roles(settings.roles)
    secret = revealed(settings.secret_key)
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


async def _create(accounts: Accounts, options: argparse.Namespace, who: Principal) -> str:
    """Return the text of a new token. A user that does not exist is created with the role."""
    role: str | None = options.role
    try:
        user = await accounts.user(options.user, who)
    except NotFoundError:
        if role is None:
            raise UserError(f"User '{options.user}' not found. Add --role to create the user.") from None
        user = await accounts.add_user(User(options.user, options.user, role), who)
    expires_at = None if options.days is None else now_ms() + round(options.days * DAY_MS)
    lesser = role if role != user.role else None
    return (await accounts.create_token(user.id, options.name, who, role=lesser, expires_at=expires_at))[1]


def _public_part(text: str) -> str:
    """Return the public part of a token, given that part or the whole token."""
    return text.removeprefix("hl_").partition("_")[0]


def _table(tokens: Sequence[Token]) -> list[str]:
    heads = ("id", "user", "role", "name", "created", "expires", "last used", "state")
    rows = [heads, *(_row(token) for token in tokens)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(token: Token) -> tuple[str, ...]:
    expired = token.expires_at is not None and token.expires_at <= now_ms()
    state = "revoked" if token.revoked_at else "expired" if expired else "valid"
    times = (_minute(token.created_at), _minute(token.expires_at), _minute(token.last_used_at))
    return (token.id, token.user, token.role or "user's", token.name, *times, state)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _minute(ms: int | None) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M") if ms else "-"
