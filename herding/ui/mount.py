"""Mounts the UI on the web app, and closes what Gradio leaves open by default."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from gradio.routes import App

from herding.orchestrator import Orchestrator
from herding.ui.kit.assets import ViewAssets
from herding.ui.kit.format import el, join
from herding.ui.kit.gradio_files import GradioFiles, early_links
from herding.ui.kit.page_head import PageHead
from herding.ui.kit.route_filter import RouteFilter
from herding.ui.kit.theme import ASSETS, HEAD, herding_theme
from herding.ui.page import build, first_tab, tab_names

if TYPE_CHECKING:
    from fastapi import FastAPI

MAX_THREADS = 100
MAX_WAITING = 500
QUEUE_POLL_S = 0.01
"""Seconds between polls of the empty queue; Gradio's default of 1 ms costs idle CPU."""

NO_UPLOADS = 1
"""Bytes; the UI takes no files."""


def mount(app: FastAPI, orchestrator: Orchestrator, *, private: list[Path]) -> FastAPI:
    """Serve the UI at `/`, and return its app; files below `private` are never served."""
    demo, layout = build(orchestrator)
    assets = ViewAssets()
    files = GradioFiles()
    app.router.routes += [assets.route(), files.route(), *layout.routes()]
    demo.max_threads = MAX_THREADS
    demo.queue(api_open=False, default_concurrency_limit=None, max_size=MAX_WAITING, status_update_rate=5)
    demo._queue.sleep_when_free = QUEUE_POLL_S
    gr.mount_gradio_app(
        app,
        demo,
        path="/",
        app_kwargs={"openapi_url": None, "docs_url": None, "redoc_url": None},
        allowed_paths=[],
        blocked_paths=[str(path) for path in private],
        favicon_path=str(ASSETS / "herding.svg"),
        show_error=False,
        max_file_size=NO_UPLOADS,
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        mcp_server=False,
        footer_links=[],
        theme=herding_theme(),
        css_paths=[ASSETS / "style.css"],
        js=(ASSETS / "page.js").read_text(encoding="utf-8"),
        head=HEAD,
    )
    page = next(found for route in app.routes if isinstance(found := getattr(route, "app", None), App))
    page.add_middleware(RouteFilter)  # the API needs none
    scripts, styles = early_links(files.needed({block.get_block_name() for block in demo.blocks.values()}))
    theme = el("link", rel="stylesheet", href=f"theme.css?v={demo.theme_hash}")
    early, late = assets.early() + scripts, join([styles, theme, assets.late()])
    page.add_middleware(PageHead, early=early, late=late, first_tab=first_tab, tabs=tab_names)
    # Only `launch` sets this; without it Gradio does not check posted paths, and any file could be read.
    demo.has_launched = True
    return page
