"""Starts Herding: settings, then the parts, then one server for UI and API. The only place that wires them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware

from herding import __version__
from herding.access.role_file import Roles
from herding.access.visitors import IdentifyVisitors, Visitors, signing_key
from herding.api import doors
from herding.api.shield import Shield
from herding.errors import HerdingError
from herding.nodes import catalog
from herding.orchestrator import Orchestrator
from herding.prompts.library import Library
from herding.settings import Settings, on_space, read_settings, secret
from herding.store import Store

GRACEFUL_SECONDS = 5

log = logging.getLogger("herding")


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs endless work beside the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()


@contextlib.asynccontextmanager
async def parts(settings: Settings) -> AsyncIterator[Orchestrator]:
    """The orchestrator with its library, its store and its running herd; all ended on the way out."""
    node_secret = settings.node_secret.get_secret_value() if settings.node_secret else None
    herd = catalog.build(catalog.read_herd(settings.nodes), secret=secret, node_secret=node_secret)
    library = Library(settings.prompts)
    await asyncio.to_thread(library.refresh)
    store = await Store.open(settings.database_url)
    try:
        for node in herd.values():
            await node.start()
        orchestrator = Orchestrator(library=library, herd=herd, store=store)
        async with beside(library.watch()), beside(orchestrator.upkeep()):
            yield orchestrator
    finally:
        await asyncio.gather(*(node.close() for node in herd.values()), return_exceptions=True)
        await store.close()


def create(orchestrator: Orchestrator, settings: Settings) -> FastAPI:
    """The web app: routes first, then the UI at `/`, and around both the guards."""
    _tame_gradio(settings.home)
    from herding.ui.mount import mount  # Gradio reads the environment when it is imported

    roles = Roles(settings.roles)

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        async with beside(roles.watch()):
            yield

    app = FastAPI(title="Herding", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, lifespan=life)
    doors.install(app, orchestrator)
    mount(app, orchestrator, private=[settings.home.absolute(), Path(__file__).parent])
    token = settings.admin_token.get_secret_value() if settings.admin_token else None
    visitors = Visitors(key=signing_key(settings.home), roles=roles, local_only=settings.local_only, admin_token=token)
    # The last added is the outermost. A CORS middleware that allows nobody switches off Gradio's, which allows all.
    app.add_middleware(CORSMiddleware, allow_origins=[])
    app.add_middleware(IdentifyVisitors, visitors=visitors)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.host_names)
    app.add_middleware(Shield)
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
    async with parts(settings) as orchestrator:
        config = uvicorn.Config(
            create(orchestrator, settings),
            host=settings.host,
            port=settings.port,
            log_level="warning",
            server_header=False,
            proxy_headers=on_space(),
            forwarded_allow_ips="*" if on_space() else None,
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
        )
        server = Server(config)
        shown = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host
        log.info("Herding %s listens on http://%s:%s", __version__, shown, settings.port)
        await server.serve()


def main() -> int:
    """Exit status 0 after a normal end, 2 for settings or files that must be mended first."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    for name in ("httpx", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        settings = read_settings()
        logging.getLogger().setLevel(settings.log_level)
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        asyncio.run(serve(settings))
    except HerdingError as error:
        log.error("Herding cannot start. %s", error)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
