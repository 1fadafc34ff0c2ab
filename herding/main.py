"""Wire and run the app: settings, services, then one server for UI and API."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from starlette.routing import Route
from uvicorn.loops.auto import auto_loop_factory

from herding import __version__, yaml_files
from herding.access.encryption import Cipher
from herding.access.keys import signing_key
from herding.access.role_file import Roles
from herding.api.app import add_middleware, create_app
from herding.api.http.connections import ConnectionLimits, Connections, GuardedProtocol
from herding.api.middleware.open_responses import OpenResponses
from herding.api.server import Server, max_connections
from herding.api.site import not_found
from herding.api.sockets import bind, url_of
from herding.bots.config import read_discord_file
from herding.bots.door import DiscordDoor
from herding.bots.program import build_door, serve_discord
from herding.bots.service import LocalService
from herding.errors import ConfigError, HerdingError
from herding.herd.fleet import Fleet
from herding.herd.registry import Registry
from herding.mcp.endpoint import PATH, McpEndpoint
from herding.nodes import catalog
from herding.nodes.base import BuildContext, Node
from herding.nodes.network import Network
from herding.nodes.ssrf_guard import SsrfGuard
from herding.orchestrator import WAIT_SECONDS, Orchestrator, built_in
from herding.people.accounts import Accounts
from herding.people.authenticator import Authenticator
from herding.plugins import Plugins
from herding.prompts.directory import read_id
from herding.prompts.library import Library
from herding.settings import (
    Settings,
    copy_shipped_prompts,
    misspelt_variables,
    network_environment,
    read_settings,
    revealed,
    secret,
    shipped_files,
)
from herding.store import Store, now_ms
from herding.store.database import parse_url

INTERRUPT_SECONDS = 2.0
"""The time in which interrupted requests record their end."""

EVENTS_SECONDS = 0.5
"""The time in which the page gets its last events."""

CLOSE_SECONDS = 2
"""The time in which connections close after their last response."""

END_SECONDS = 30
"""The time after the last response in which nodes and database are closed; then the process ends without them."""

SWITCH_SECONDS = 0.0005
LONG_TOKEN = 16
KEEP_ALIVE_SECONDS = 75
"""Longer than clients and proxies keep idle connections, so that they never send into a closed one."""

log = logging.getLogger("herding")


@contextlib.asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run endless work in a task while the block runs. Log an error if it ends by itself."""
    task = asyncio.create_task(work, name=getattr(work, "__qualname__", "work"))
    task.add_done_callback(_log_end)
    try:
        yield
    finally:
        task.cancel()


def _log_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        log.error("Background task ended (%s)", task.get_name(), exc_info=task.exception())


@dataclass(frozen=True, slots=True)
class Parts:
    """The services that the web app is made of."""

    library: Library
    store: Store
    fleet: Fleet
    roles: Roles
    authenticator: Authenticator
    registry: Registry
    orchestrator: Orchestrator
    open_responses: OpenResponses
    clock: Callable[[], int] = now_ms


def _remove_unfinished(settings: Settings) -> None:
    """Delete what a killed app left beside the files that it was writing. Blocks."""
    yaml_files.remove_unfinished(chain(settings.prompts.rglob(".*.new"), settings.roles.parent.glob(".*.new")))


def load_plugins(off: Sequence[str] = ()) -> Plugins:
    """Return the plugins of this installation; the parts of this package are registered like theirs."""
    plugins = Plugins(off=off, built_in=built_in())
    plugins.load()
    return plugins


@contextlib.asynccontextmanager
async def assemble(
    settings: Settings,
    *,
    nodes: Mapping[str, Node] | None = None,
    roles: Roles | None = None,
    clock: Callable[[], int] = now_ms,
    monotonic: Callable[[], float] = time.monotonic,
    rng: Random | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> AsyncIterator[Parts]:
    """Open the store and wire the services; close the nodes and the store at the end. Nothing runs yet.

    `nodes` and `roles` replace those of the files that the settings name. `clock` is in Unix milliseconds,
    `monotonic` and `wait_seconds` (the longest time in the queue) in seconds.
    """
    network = Network.from_environment(network_environment())
    plugins = await asyncio.to_thread(load_plugins, settings.plugins_off)
    if nodes is None:
        context = BuildContext(
            secret=secret, node_secret=revealed(settings.node_secret), network=network, models=settings.home / "models"
        )
        nodes = catalog.build(catalog.read_herd(settings.nodes, plugins), context)
    roles = roles or Roles(settings.roles)
    await asyncio.to_thread(copy_shipped_prompts, settings)
    await asyncio.to_thread(_remove_unfinished, settings)
    library = Library(settings.prompts, missing=plugins.missing)
    await asyncio.to_thread(library.refresh)
    key = signing_key(settings.home, revealed(settings.secret_key))
    fleet = Fleet(nodes, clock=monotonic, wall=clock, rng=rng)
    place = await asyncio.to_thread(read_id, settings.prompts, settings.home)
    store = await Store.open(settings.database_url, clock=clock, vector_store=settings.vector_store, place=place)
    try:
        authenticator = Authenticator(
            store=store,
            roles=roles,
            key=key,
            trusts_all=settings.trusts_all,
            admin_token=revealed(settings.admin_token),
            clock=clock,
            monotonic=monotonic,
        )
        guard = SsrfGuard(allowed=settings.allowed_hosts, loopback=settings.local_only, network=network)
        registry = Registry(fleet=fleet, store=store, cipher=Cipher(key), guard=guard, clock=clock)
        orchestrator = Orchestrator(
            library=library,
            fleet=fleet,
            store=store,
            roles=roles,
            authenticator=authenticator,
            registry=registry,
            clock=clock,
            wait_seconds=wait_seconds,
            documents=settings.documents,
            plugins=plugins,
        )
        yield Parts(library, store, fleet, roles, authenticator, registry, orchestrator, OpenResponses(), clock)
    finally:
        await asyncio.gather(*(node.close() for node in fleet.values()), return_exceptions=True)
        await store.close()


@contextlib.asynccontextmanager
async def running(parts: Parts, settings: Settings) -> AsyncIterator[None]:
    """Start the nodes, read the prompts and keep the background work going until the block ends."""
    orchestrator, authenticator = parts.orchestrator, parts.authenticator
    for node in parts.fleet.values():
        await node.start()
    await parts.registry.load()
    await authenticator.load_origins()
    if not settings.local_only and not settings.admin_token:
        await _print_first_token(orchestrator.accounts)
    await orchestrator.load()
    async with contextlib.AsyncExitStack() as tasks:
        watched = parts.open_responses.watch(authenticator)
        for work in (*orchestrator.background_tasks(), parts.roles.watch(), authenticator.keep(), watched):
            await tasks.enter_async_context(background(work))
        if door := discord_door(parts, settings):
            await tasks.enter_async_context(door.open())
        yield
        await authenticator.flush()


def discord_door(parts: Parts, settings: Settings) -> DiscordDoor | None:
    """Return the Discord bot, None without its token. Raises ConfigError if its file is wrong."""
    token = revealed(settings.discord_bot_token)
    if token is None:
        return None
    file = read_discord_file(settings.discord, parts.roles.names)
    orchestrator = parts.orchestrator
    service = LocalService(
        orchestrator=orchestrator, authenticator=parts.authenticator, store=parts.store, file=file, clock=parts.clock
    )
    return build_door(
        service, settings, token, lambda status: orchestrator.tell_bot("discord", status.state, status.detail)
    )


async def _print_first_token(accounts: Accounts) -> None:
    """Print an admin token at the first start of an app that other machines can reach."""
    if token := await accounts.first_token():
        text = "Save it now: it is not shown again. Use it to log in or as a bearer token."
        try:
            sys.stdout.write(f"\nAdmin token: {token}\n{text}\n\n")
            sys.stdout.flush()  # not into the log, which is saved
        except OSError as error:
            sys.stdout = sys.stderr  # else the text would be tried again at the end
            why = f"The admin token can't be printed ({error.strerror})"
            log.warning("%s. Make another one with: herding token create --user admin", why)


def create(parts: Parts, settings: Settings, *, ui: bool = True) -> FastAPI:
    """Return the web app: routes first, then the UI at `/`, and the middleware around both."""
    app = create_app(parts.orchestrator, parts.authenticator)
    endpoint = McpEndpoint(parts.orchestrator)
    app.router.routes += [Route(PATH, endpoint), Route(f"{PATH}/", endpoint)]
    app.router.lifespan_context = endpoint.lifespan
    if ui:
        _configure_gradio(settings.home)
        from herding.ui.mount import mount  # Gradio reads the environment when it is imported

        own_routes = list(app.routes)
        page = mount(app, parts.orchestrator, private=[settings.home.absolute(), shipped_files()])
        not_found.answer_for_page(page, own_routes)
    add_middleware(app, parts.orchestrator, parts.authenticator, parts.open_responses, settings)
    return app


def _configure_gradio(home: Path) -> None:
    """Switch off analytics and calls home, and put temporary files where only this user can read them."""
    cache = home.absolute() / "cache"
    _create(cache)
    os.environ.setdefault("PATH", os.defpath)  # a library that Gradio imports looks there
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False",
        GRADIO_TEMP_DIR=str(cache / "gradio"),
        GRADIO_ANALYTICS_MAX_EVENTS="100",
        GRADIO_ANALYTICS_CACHE_FREQUENCY="1000",
        TMPDIR=str(cache),
    )


async def drain(parts: Parts, *, seconds: float, is_urgent: Callable[[], bool]) -> None:
    """Let running requests end by themselves for some seconds, unless it is urgent, then interrupt the others.

    Every caller gets a definite end: its response, an error event, or status 503.
    """
    orchestrator, responses = parts.orchestrator, parts.open_responses
    orchestrator.stop_accepting()
    responses.stopping = True

    def idle() -> bool:
        return not orchestrator.running() and not responses.working

    await responses.wait_until(lambda: idle() or is_urgent(), seconds=seconds)
    if orchestrator.running():
        log.info("Interrupt running requests (%d)", orchestrator.running())
    orchestrator.interrupt_all()
    await responses.wait_until(idle, seconds=INTERRUPT_SECONDS)
    await responses.wait_until(lambda: not len(responses), seconds=EVENTS_SECONDS)
    responses.end_all()
    await responses.wait_until(lambda: not len(responses), seconds=EVENTS_SECONDS)


async def serve(settings: Settings, sockets: list[socket.socket] | None = None) -> None:
    """Run the app until a signal ends the process. `sockets` are those that `bind` returned."""
    sockets = sockets or bind(settings.host, settings.port)
    limits = ConnectionLimits(
        total=max_connections(),
        per_address=None if settings.trusted_proxies else settings.max_connections_per_address,
    )
    watchdog = threading.Timer(END_SECONDS, _end_now)
    watchdog.daemon = True
    try:
        async with assemble(settings) as parts, running(parts, settings):
            config = uvicorn.Config(
                create(parts, settings),
                host=settings.host,
                port=settings.port,
                log_level="warning",
                access_log=False,  # it would format lines that this log level drops
                server_header=False,
                http=cast(type[asyncio.Protocol], partial(GuardedProtocol, connections=Connections(limits))),
                ws="none",
                proxy_headers=False,  # ProxyMiddleware trusts only as many proxies as configured
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=CLOSE_SECONDS,
            )
            server = Server(config, drain=lambda urgent: drain(parts, seconds=settings.grace_seconds, is_urgent=urgent))
            _tune_interpreter()
            log.info("Herding %s listens on %s", __version__, url_of(settings.host, sockets[0].getsockname()[1]))
            await server.serve(sockets)
            watchdog.start()
    finally:
        watchdog.cancel()


def _end_now() -> None:
    """End the process as a kill would, which loses nothing that was acknowledged."""
    log.error("end without closing the database (%d s): it does not answer", END_SECONDS)
    logging.shutdown()
    os._exit(1)


def _tune_interpreter() -> None:
    """Shorten the pauses of requests: less garbage collection, and quicker turns for the thread that writes.

    The writer needs the interpreter lock after each statement. With Python's default of 5 ms a busy event loop would
    delay every commit by several times that. Garbage is not collected while the app starts; from here on it is.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(10_000, 20, 50)
    sys.setswitchinterval(SWITCH_SECONDS)


def main(**overrides: Any) -> int:
    """Run the app; `overrides` go before settings of the environment.

    Return exit status 0 after a normal end, 2 if settings or files must be fixed first.
    """
    return _run(_serve_app, overrides)


def main_discord(**overrides: Any) -> int:
    """Run the Discord bot beside a server; `overrides` go before settings of the environment.

    Return exit status 0 after a normal end, 2 if settings or files must be fixed first.
    """

    def serve_bot(settings: Settings) -> None:
        _create(settings.home)
        asyncio.run(serve_discord(settings))

    return _run(serve_bot, overrides)


def _serve_app(settings: Settings) -> None:
    if settings.admin_token and len(revealed(settings.admin_token) or "") < LONG_TOKEN:
        log.warning("short token (HERDING_ADMIN_TOKEN): use at least %d random characters", LONG_TOKEN)
    parse_url(settings.database_url)
    sockets = bind(settings.host, settings.port)
    _create(settings.home)
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:  # uvloop's, where there is one
        runner.run(serve(settings, sockets))


def _run(program: Callable[[Settings], None], overrides: Mapping[str, Any]) -> int:
    """Run a program with the settings, and return its exit status."""
    _open_standard_streams()
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in ("httpx", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        settings = read_settings(**overrides)
        logging.getLogger().setLevel(settings.log_level)
        for name, meant in misspelt_variables().items():
            log.warning("variable ignored (%s): it is not a setting. Did you mean %s?", name, meant)
        program(settings)
    except HerdingError as error:
        log.error("Herding cannot start. %s", error)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def _open_standard_streams() -> None:
    """Open standard streams that are closed, as by some service managers: other files would take their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdin, sys.stdout, sys.stderr = (
        stream or open(os.devnull, mode)  # noqa: PTH123, SIM115 (as long as the process)
        for stream, mode in ((sys.stdin, "r"), (sys.stdout, "w"), (sys.stderr, "w"))
    )


class LineFormatter(logging.Formatter):
    """Keeps a record on one line: names and messages that callers and servers choose are in it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _create(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"'{directory}' can't be created: {error.strerror}.", key="HERDING_HOME") from None


if __name__ == "__main__":
    sys.exit(main())
