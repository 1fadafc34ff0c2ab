"""No event of Gradio passes that is not marked, however it is called."""

from __future__ import annotations

from types import SimpleNamespace

import gradio as gr
import pytest

from herding.ui.kit.events import GuardedBlocks, for_all_roles
from herding.ui.page import Page
from herding.values import Principal
from tests.support.herding import ADMIN, NOBODY
from tests.ui.conftest import Desktop, Served


def test_every_event_is_private_and_takes_many_callers_at_once(desktop: Desktop) -> None:
    for event in desktop.demo.fns.values():
        assert event.api_visibility == "private"
        assert event.concurrency_limit is None or event.fn is None


@pytest.mark.parametrize("who", ["guest", "admin"])
async def test_an_event_without_the_mark_is_refused(who: str) -> None:
    with GuardedBlocks(analytics_enabled=False) as demo:
        box = gr.Textbox()
        box.change(lambda text: text, box, box, api_name="open")
    request = SimpleNamespace(state=SimpleNamespace(principal=ADMIN if who == "admin" else None))
    with pytest.raises(gr.Error, match="role"):
        await demo.process_api(0, ["x"], None, request)


@pytest.mark.parametrize(("who", "passes"), [(NOBODY, True), (None, False)])
async def test_an_event_for_everybody_is_for_everybody_who_is_known(who: Principal | None, passes: bool) -> None:
    with GuardedBlocks(analytics_enabled=False) as demo:
        box = gr.Textbox()
        box.change(for_all_roles(lambda text: text.upper()), box, box, api_name="open")
    request = SimpleNamespace(state=SimpleNamespace(principal=who))
    if not passes:
        with pytest.raises(gr.Error, match="role"):
            await demo.process_api(0, ["x"], None, request)
        return
    assert (await demo.process_api(0, ["x"], None, request))["data"] == ["X"]


def test_an_event_of_the_browser_alone_cannot_be_called(served: Served) -> None:
    event = next(event for event in served.events if event.fn is None)
    assert served.fire(event._id, [None] * len(event.inputs), admin=True)["success"] is False


def test_gradio_is_closed_where_it_is_open_by_default(served: Served) -> None:
    assert served.demo.has_launched
    assert served.demo.run_history is False
    assert served.demo.show_error is False
    for path in ("/gradio_api/mcp/", "/monitoring", "/gradio_api/mcp/schema"):
        assert served.client.get(path).status_code in (401, 403, 404, 405), path


def test_the_icon_of_the_installed_page_is_there(served: Served) -> None:
    """A browser fetches it from the manifest; the sizes that Gradio draws from any picture stay closed."""
    (icon,) = served.client.get("/manifest.json").json()["icons"]
    assert served.client.get(icon["src"]).headers["content-type"].startswith("image/svg")
    assert served.client.get("/pwa_icon/192").status_code == 404


def test_nothing_can_be_uploaded(served: Served) -> None:
    sent = served.client.post("/gradio_api/upload", files={"files": ("a.html", b"<script>alert(1)</script>")})
    assert sent.status_code == 413


def test_a_broken_handler_tells_no_secrets(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The toast says that something broke, not what."""

    async def broken(*_: object) -> object:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(Page, "_nodes", broken)
    ended = served.fire(served.id_of("follow"), [], admin=True)
    assert ended["success"] is False
    for secret in ("a secret", "Traceback", "site-packages"):
        assert secret not in str(ended)
