"""What the page names in its head, and how its files are served."""

from __future__ import annotations

import re
from pathlib import Path

import brotli
import pytest

from herding.ui.kit.compression import StaticFile
from herding.ui.kit.gradio_files import GradioFiles
from tests.ui.conftest import Served

TYPES = {"html", "tabs", "tabitem", "row"}


def test_the_head_names_the_scripts_before_any_of_them_runs(served: Served) -> None:
    html = served.client.get("/?tab=overview").text
    before = html.partition("window.gradio_config")[0]
    assert '<meta name="first-tab" content="' in before
    assert 'rel="modulepreload"' in before
    assert "ui/assets/view.js?v=" in html
    assert html.index("ui/assets/views.css") > html.index("./assets/index-")  # ours win over Gradio's
    head = html.partition("</head>")[0]
    for path in re.findall(r'(?:href|src)="\.?/?((?:assets|ui/assets|theme\.css)[^"]*)"', head):
        assert served.client.get(f"/{path.replace('&amp;', '&')}").status_code == 200, path


def test_the_first_tab_is_that_of_the_address_else_of_the_role(served: Served) -> None:
    asked = served.client.get("/?tab=overview", headers=served.headers(admin=True)).text
    assert 'name="first-tab" content="overview"' in asked
    unknown = served.client.get('/?tab="><script>', headers=served.headers(admin=True)).text
    assert 'name="first-tab" content="engineer"' in unknown


def test_the_page_and_its_files_are_compressed_where_a_browser_takes_it(served: Served) -> None:
    for accept, encoding in (("gzip, br", "br"), ("gzip", None), ("identity", None)):
        page = served.client.get("/", headers={"accept-encoding": accept})
        assert page.headers.get("content-encoding") == encoding
        assert "gradio_config" in page.text
        script = served.client.get("/ui/assets/view.js", headers={"accept-encoding": accept})
        assert script.headers.get("content-encoding") == encoding
        assert "htmx" in script.text


def test_the_files_of_gradio_are_kept_by_browsers(served: Served) -> None:
    name = next(name for name in GradioFiles().needed(TYPES) if name.endswith(".js"))
    got = served.client.get(f"/assets/{name}", headers={"accept-encoding": "br"})
    assert got.headers["cache-control"].endswith("immutable")
    assert got.headers["content-type"].startswith("text/javascript")
    assert served.client.get("/assets/..%2findex.html").status_code in (403, 404)
    assert served.client.get("/assets/nothing.js").status_code == 404


def test_the_scripts_of_the_components_are_found() -> None:
    files = GradioFiles()
    few, more = files.needed({"html"}), files.needed(TYPES)
    assert {name.partition("-")[0] for name in few} >= {"index", "Index", "core", "Blocks", "HTML"}
    assert len(set(more) - set(few)) >= 3
    assert files.needed({"no such component"}) == files.needed(set())


def test_an_unknown_frontend_costs_only_the_early_start(tmp_path: Path) -> None:
    assert GradioFiles(tmp_path).needed(TYPES) == []


@pytest.mark.parametrize("length", [10, 10_000])
def test_a_file_is_compressed_once(length: int) -> None:
    from starlette.datastructures import Headers

    file = StaticFile(b"x" * length, "text/css")
    first = file.response(Headers({"accept-encoding": "br"}), {})
    assert first.body == file.response(Headers({"accept-encoding": "gzip;q=0.1, br;q=1"}), {}).body
    if length > 1_000:
        assert brotli.decompress(first.body) == b"x" * length
    else:
        assert "content-encoding" not in first.headers
