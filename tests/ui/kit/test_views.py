"""The routes of the views: who may call them, and how they reply."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from markupsafe import Markup
from starlette.datastructures import FormData, QueryParams

from herding.errors import AccessError, UserError
from herding.ui.kit.fields import confirm_button, select_field, star_field, text_field
from herding.ui.kit.live import every
from herding.ui.kit.views import Call, Reply
from herding.values import Principal
from tests.support.herding import ADMIN, NOBODY
from tests.support.people import ROLES, principal
from tests.ui.conftest import Desktop, Served

WITH_A_SLASH = {"key": "say", "request_id": "none"}


def call(**fields: str) -> Call:
    return Call(ADMIN, {}, QueryParams(), FormData(fields))


async def test_every_route_is_open_exactly_to_the_roles_with_its_right(desktop: Desktop) -> None:
    routes = list(desktop.page.routes())
    assert routes
    for route in routes:
        right = route.endpoint.right
        assert right in set().union(*(ROLES.get(name).rights for name in ROLES.names)), route.path
        for who in (NOBODY, *(principal("x", role) for role in ROLES.names)):
            if right not in who.rights:
                with pytest.raises(AccessError):
                    await _ask(desktop, route.path, sorted(route.methods)[-1], who)


async def _ask(desktop: Desktop, path: str, method: str, who: Principal) -> None:
    asked = path.removeprefix("/ui/").replace(":path", "").replace(":int", "").replace("{", "").replace("}", "")
    ways = {"POST": desktop.post, "DELETE": desktop.delete}
    await ways.get(method, desktop.get)(asked, who=who)


def test_the_app_serves_views_scripts_and_errors(served: Served) -> None:
    client = served.client
    assert "prompts" in client.get("/ui/overview").text
    version = re.search(r"ui/assets/view\.js\?v=(\w+)", client.get("/").text)[1]
    cached = client.get(f"/ui/assets/view.js?v={version}")
    assert "htmx" in cached.text
    assert cached.headers["cache-control"].endswith("immutable")
    assert cached.headers["content-type"].startswith("text/javascript")
    assert client.get("/ui/assets/views.css").headers["cache-control"] == "no-cache"
    assert client.get("/ui/assets/..%2fpage.js").status_code == 404
    missing = client.get("/ui/overview/prompts/none")
    assert missing.status_code == 404
    assert missing.json()["error"]["message"] == "Prompt 'none' no longer exists."


@pytest.mark.parametrize("url", ["http://[bad", "http://x/?" + "a=1&" * 3_000, "http://x/?prompt=%ff", "::", "?prompt"])
def test_an_address_of_the_page_that_makes_no_sense_has_no_fields(served: Served, url: str) -> None:
    assert served.client.get("/ui/overview/list", headers={"hx-current-url": url}).status_code == 200


def test_a_reply_tells_the_page_what_to_do() -> None:
    reply = Reply(Markup("<p>x</p>"), notice="Saved ✓", address={"q": ""}, events={"rated": 3})
    told = json.loads(reply.response().headers["hx-trigger"])
    assert told == {"notice": "Saved ✓", "address": {"q": ""}, "rated": 3}


def test_fields_are_read_as_their_type() -> None:
    assert call(limit="-20").whole("limit") == -20
    assert call().whole("limit", 7) == 7
    for bad in ("x", "1.5", "9" * 30, "²"):
        with pytest.raises(UserError):
            call(limit=bad).whole("limit")


def test_fields_are_labelled_and_escaped() -> None:
    assert '<span class="label">Name</span>' in text_field("Name", "name", '"><script>')
    assert "<script" not in text_field("Name", "name", '"><script>', lines=3, error="<b>")
    assert 'aria-label="Tag"' in select_field("Tag", "tag", [("All", "")], hidden_label=True)
    assert 'hx-confirm="Sure?"' in confirm_button("Delete", "Sure?", "Delete", hx_post="ui/x")
    assert star_field(4, "Rate").count("checked") == 1


def test_all_polling_stops_while_the_tab_is_closed() -> None:
    """htmx asks again only where a condition is true itself, not where it is a value that counts as true."""
    assert re.fullmatch(r"every 1500ms \[!document\.hidden && !!this\..*\]", every(1.5))
    sources = {path.name: path.read_text(encoding="utf-8") for path in Path("herding/ui").rglob("*.py")}
    assert [name for name, text in sources.items() if re.search(r"every \S*\d\S*m?s\b|every \{", text)] == ["live.py"]
