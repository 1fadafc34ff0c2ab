"""No event passes without the right that it needs, however it is called."""

from __future__ import annotations

from types import SimpleNamespace

import gradio as gr
import pytest

from herding.access.operations import TABS, TOKENS, USERS
from herding.ui.kit.events import ANY_ROLE, GuardedBlocks, required_right, requires
from herding.values import Principal
from tests.support.herding import ADMIN, NOBODY
from tests.support.people import RIGHTS
from tests.ui.conftest import Desktop, Served

OPEN = {"page_load", "follow", *(f"hide_token_{after}" for after in ("users", "roles", "revoke"))}
OPEN |= {f"pause_others_{tab}" for tab in TABS}
"""Events for everybody: what they show depends on the role."""


OF_TOKENS = {"access", "access_tokens"} | {
    f"token_{what}" for what in ("search", "pick", "create", "rotate", "revoke", "revoke_ask", "revoke_keep")
}
OF_USERS = {"access_users", "access_roles", "roles_save", "roles_reload"} | {
    f"user_{what}" for what in ("search", "pick", "new", "save", "log_out")
}


def test_every_event_with_a_handler_names_a_right_that_exists(desktop: Desktop) -> None:
    handled = [event for event in desktop.demo.fns.values() if event.fn is not None]
    assert handled
    assert {event.api_name for event in handled if required_right(event) not in RIGHTS["admin"]} == OPEN
    assert {event.api_name for event in handled if required_right(event) == ANY_ROLE} == OPEN


def test_every_event_is_private_and_takes_many_callers_at_once(desktop: Desktop) -> None:
    for event in desktop.demo.fns.values():
        assert event.api_visibility == "private"
        assert event.concurrency_limit is None or event.fn is None


@pytest.mark.parametrize(("right", "events"), [(TOKENS, OF_TOKENS), (USERS, OF_USERS)])
def test_what_is_about_people_needs_its_right(desktop: Desktop, right: str, events: set[str]) -> None:
    assert {event.api_name for event in desktop.demo.fns.values() if required_right(event) == right} == events


@pytest.mark.parametrize("who", ["guest", "admin"])
async def test_an_event_without_a_right_is_refused(who: str) -> None:
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
        box.change(requires(ANY_ROLE)(lambda text: text.upper()), box, box, api_name="open")
    request = SimpleNamespace(state=SimpleNamespace(principal=who))
    if not passes:
        with pytest.raises(gr.Error, match="role"):
            await demo.process_api(0, ["x"], None, request)
        return
    assert (await demo.process_api(0, ["x"], None, request))["data"] == ["X"]


def test_a_guest_is_refused_by_queue_and_by_name(served: Served) -> None:
    for name in sorted(OF_TOKENS | OF_USERS):
        event = next(event for event in served.events if event.api_name == name)
        data = [None] * len(event.inputs)
        by_queue = served.fire(event._id, data)
        assert by_queue["success"] is False
        assert "role" in by_queue["output"]["error"]
        assert "event: error" in served.call(name, data)


def test_an_event_of_the_browser_alone_cannot_be_called(served: Served) -> None:
    event = next(event for event in served.events if event.fn is None)
    assert served.fire(event._id, [None] * len(event.inputs), admin=True)["success"] is False


def test_the_direct_way_around_the_queue_is_closed(served: Served) -> None:
    """`/run` would not wait in the queue; it passes the same gate."""
    event = served.id_of("access_roles")
    body = {"data": [], "fn_index": event, "session_hash": "s"}
    assert served.client.post("/gradio_api/run/predict", json=body).status_code >= 400
    assert served.client.post("/gradio_api/run/access_roles", json=body).status_code >= 400


def test_gradio_is_closed_where_it_is_open_by_default(served: Served) -> None:
    assert served.demo.has_launched
    assert served.demo.run_history is False
    assert served.demo.show_error is False
    for path in ("/gradio_api/mcp/", "/monitoring", "/gradio_api/mcp/schema"):
        assert served.client.get(path).status_code in (401, 403, 404, 405), path


def test_nothing_can_be_uploaded(served: Served) -> None:
    sent = served.client.post("/gradio_api/upload", files={"files": ("a.html", b"<script>alert(1)</script>")})
    assert sent.status_code == 413


def test_a_broken_handler_tells_no_secrets(served: Served) -> None:
    """A value that no browser sends: the toast says that something broke, not what."""
    events = [event for event in served.events if event.fn is not None and event.inputs]
    ended = [served.fire(event._id, [{"a": 1} for _ in event.inputs], admin=True) for event in events]
    assert not all(one["success"] for one in ended)
    assert "Traceback" not in str(ended)
    assert "site-packages" not in str(ended)
