"""Starts Herding: settings, then the parts, then one server for UI and API. The only place that wires them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from uvicorn.loops.auto import auto_loop_factory

from herding import __version__
from herding.access.encryption import Cipher
from herding.access.keys import signing_key
from herding.access.role_file import Roles
from herding.api.app import add_middleware, create_app
from herding.errors import HerdingError
from herding.herd.fleet import Fleet
from herding.herd.registry import Registry
from herding.nodes import catalog
from herding.nodes.base import BuildContext
from herding.nodes.ssrf_guard import SsrfGuard
from herding.orchestrator import Orchestrator
from herding.people.accounts import Accounts
from herding.people.authenticator import Authenticator
from herding.prompts.library import Library
from herding.settings import ROOT, Settings, read_settings, secret
from herding.store import Store

GRACEFUL_SECONDS = 5
KEEP_ALIVE_SECONDS = 75
"""Longer than clients and proxies keep a connection that they do not use, so that they never send into a closed one."""

log = logging.getLogger("herding")


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs endless work beside the block; the log tells when it ends before that, which nothing else would."""
    task = asyncio.create_task(work, name=getattr(work, "__qualname__", "work"))
    task.add_done_callback(_tell_of_end)
    try:
        yield
    finally:
        task.cancel()


def _tell_of_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        log.error("%s ended, and was to run as long as the app", task.get_name(), exc_info=task.exception())


@dataclass(frozen=True, slots=True)
class Parts:
    """What the web app is made of."""

    orchestrator: Orchestrator
    authenticator: Authenticator


@contextlib.asynccontextmanager
async def parts(settings: Settings) -> AsyncIterator[Parts]:
    """The orchestrator with its library, its store, its people and its running herd; all ended on the way out."""
    configured = catalog.read_herd(settings.nodes)
    fleet = Fleet(catalog.build(configured, BuildContext(secret=secret, node_secret=_value(settings.node_secret))))
    roles = Roles(settings.roles)
    library = Library(settings.prompts)
    await asyncio.to_thread(library.refresh)
    store = await Store.open(settings.database_url)
    try:
        key = signing_key(settings.home, _value(settings.secret_key))
        authenticator = Authenticator(
            store=store,
            roles=roles,
            key=key,
            trusts_all=settings.trusts_all,
            admin_token=_value(settings.admin_token),
        )
        accounts = Accounts(store=store, roles=roles, authenticator=authenticator)
        for node in fleet.values():
            await node.start()
        guard = SsrfGuard(allowed=settings.allowed_hosts, loopback=settings.local_only)
        registry = Registry(fleet=fleet, store=store, seal=Cipher(key), guard=guard)
        await registry.load()
        orchestrator = Orchestrator(
            library=library,
            fleet=fleet,
            store=store,
            accounts=accounts,
            registry=registry,
            still_valid=authenticator.still_valid,
            role_names=lambda: roles.names,
        )
        if not settings.local_only and not settings.admin_token:
            await _hand_over(accounts)
        await orchestrator.read_prompts()
        await orchestrator.learn()
        watching = (
            orchestrator.watch_prompts(),
            roles.watch(),
            orchestrator.watch(),
            orchestrator.probe(),
            orchestrator.follow_demand(),
        )
        endless = (*watching, authenticator.keep(), orchestrator.upkeep())
        async with contextlib.AsyncExitStack() as running:
            for work in endless:
                await running.enter_async_context(beside(work))
            yield Parts(orchestrator, authenticator)
            await authenticator.flush()
    finally:
        await asyncio.gather(*(node.close() for node in fleet.values()), return_exceptions=True)
        await store.close()


async def _hand_over(accounts: Accounts) -> None:
    """At the first start where others can reach the app, tell the operator a token for an admin: this once."""
    if token := await accounts.first_token():
        sys.stdout.write(f"\nAdmin token, shown this once: {token}\nLog in with it, or send it as a bearer token.\n\n")
        sys.stdout.flush()  # not into the log, which is kept


def _value(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def create(found: Parts, settings: Settings) -> FastAPI:
    """Return the web app: routes first, then the UI at `/`, and the middleware around both."""
    _tame_gradio(settings.home)
    from herding.ui.mount import mount  # Gradio reads the environment when it is imported

    app = create_app(found.orchestrator, found.authenticator)
    mount(app, found.orchestrator, private=[settings.home.absolute(), ROOT])
    add_middleware(
        app,
        found.orchestrator,
        found.authenticator,
        allowed_hosts=settings.host_names,
        frame_ancestors=settings.frame_ancestors,
        trusted_proxies=settings.trusted_proxies,
    )
    return app


def _tame_gradio(home: Path) -> None:
    """No analytics, no calls home, and temporary files where only we can read them."""
    cache = home.absolute() / "cache"
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False",
        GRADIO_TEMP_DIR=str(cache / "gradio"),
        GRADIO_ANALYTICS_MAX_EVENTS="100",
        GRADIO_ANALYTICS_CACHE_FREQUENCY="1000",
        TMPDIR=str(cache),
    )


class Server(uvicorn.Server):
    """A server whose signals are ours: uvicorn's own handlers would end the process before the parts are ended."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen to SIGTERM and SIGINT while the server runs; a second SIGINT does not wait for open answers."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.handle_exit, name, None)
        yield


async def serve(settings: Settings) -> None:
    """Run until a signal ends the process."""
    async with parts(settings) as found:
        config = uvicorn.Config(
            create(found, settings),
            host=settings.host,
            port=settings.port,
            log_level="warning",
            access_log=False,  # at this level it would write nothing, and put every line together first
            server_header=False,
            proxy_headers=False,  # believes whatever a caller claims to have been forwarded for
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
        )
        server = Server(config)
        _settle_memory()
        shown = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host
        log.info("Herding %s listens on http://%s:%s", __version__, shown, settings.port)
        await server.serve()


def _settle_memory() -> None:
    """What is there now stays, and what comes lives briefly: looking for garbage often would hold up requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def main(**overrides: Any) -> int:
    """Run the app; `overrides` go before settings of the environment.

    Return exit status 0 after a normal end, 2 if settings or files must be fixed first.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    for name in ("httpx", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        settings = read_settings(**overrides)
        logging.getLogger().setLevel(settings.log_level)
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:  # uvloop's, where there is one
            runner.run(serve(settings))
    except HerdingError as error:
        log.error("Herding cannot start. %s", error)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
