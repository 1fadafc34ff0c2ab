"""No value that a caller sends makes the app read a file of its machine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ui.conftest import Served


def file(path: str) -> dict[str, Any]:
    """A value as Gradio writes a file that it should read."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


@pytest.fixture(params=["/etc/passwd", "database", "/proc/self/environ"])
def path(request: pytest.FixtureRequest, served: Served) -> str:
    """Files that are none of a visitor's business."""
    return str(served.home / "herding.sqlite") if request.param == "database" else request.param


def test_no_event_takes_a_value(served: Served) -> None:
    """Gradio's events read nothing that a caller sends; the views have routes of their own."""
    assert [event.api_name for event in served.events if event.fn is not None and event.inputs] == []


def test_the_saved_state_of_a_session_leads_to_no_file(served: Served, path: str) -> None:
    session = "deep"
    for event in served.events:
        if event.fn is not None:
            served.fire(event._id, [file(path)], session=session)
    link = served.client.get(f"/gradio_api/deep_link?session_hash={session}")
    config = served.client.get(f"/config?deep_link={link.text.strip(chr(34))}").text
    assert '"components"' in config
    assert str(served.home / "cache") not in config


@pytest.mark.parametrize("prefix", ["", "../../../../../..", "file://"])
def test_the_file_route_serves_nothing_of_ours(served: Served, path: str, prefix: str) -> None:
    answer = served.client.get(f"/gradio_api/file={prefix}{path}")
    assert answer.status_code in (403, 404), answer.text[:200]


def test_the_source_is_not_served(served: Served) -> None:
    assert served.client.get("/gradio_api/file=app.py").status_code in (403, 404)
    assert served.client.get("/gradio_api/file=prompts/say.yaml").status_code in (403, 404)
