"""The panel with the calls to copy."""

from __future__ import annotations

import html
from dataclasses import replace
from types import SimpleNamespace

import pytest

from herding.ui.engineer.code_panel import address
from tests.support.people import principal
from tests.ui.conftest import HOSTILE_TEXT, Desktop

ADA = principal("ada", "user")


def calls(desktop: Desktop) -> str:
    return html.unescape(desktop.value(desktop.page.engineer.elsewhere.calls))


async def test_a_folded_panel_writes_nothing(desktop: Desktop) -> None:
    before = calls(desktop)
    await desktop.fire("calls_again_1")
    assert calls(desktop) == before
    await desktop.fire("calls")
    assert "curl -sS" in calls(desktop)
    await desktop.fire("calls_away")
    assert desktop.value(desktop.page.engineer.elsewhere.open) is False


async def test_the_calls_follow_what_is_on_the_desk(desktop: Desktop) -> None:
    engineer = desktop.page.engineer
    await desktop.fire("calls")
    assert '"text": "one two three"' in calls(desktop)
    assert '"parameters"' not in calls(desktop)
    desktop.set(engineer.editor.form._slots[0].text, "quite new")
    desktop.set(engineer.editor.parameters.components[0], 0.9)
    await desktop.fire("edited")
    desktop.set(engineer.runner.model, "echo")
    await desktop.fire("calls_model")
    shown = calls(desktop)
    assert '"text": "quite new"' in shown
    assert '"parameters": {\n    "temperature": 0.9\n  }' in shown
    assert '"model": "echo"' in shown
    assert "the routing chooses the model" in shown
    assert "run/say?text=quite%20new<" in shown


async def test_stars_can_be_given_once_there_is_an_answer(desktop: Desktop) -> None:
    await desktop.fire("calls")
    assert "/api/v1/score" not in calls(desktop)
    await desktop.fire("run")
    await desktop.fire("calls_again_1")
    outcome = desktop.value(desktop.page.engineer.desk).draft.outcome
    assert f'"request_id": "{outcome.request_id}"' in calls(desktop)
    assert '"score": 5' in calls(desktop)
    desktop.set(desktop.page.engineer.runner.pane.stars, 2)
    await desktop.fire("rate")
    await desktop.fire("calls_again_1")
    assert '"score": 2' in calls(desktop)


async def test_only_who_has_a_token_reads_of_one(desktop: Desktop) -> None:
    await desktop.fire("calls")
    assert "HERDING_TOKEN" not in calls(desktop)
    await desktop.fire("calls", who=replace(ADA, token="public-part"))
    assert '-H "Authorization: Bearer $HERDING_TOKEN"' in calls(desktop)
    assert "public-part" not in calls(desktop)


async def test_an_unsaved_template_and_a_chat_are_told(desktop: Desktop) -> None:
    desktop.set(desktop.page.engineer.picker, "chat")
    await desktop.fire("choose")
    await desktop.fire("calls")
    assert "session_id" in calls(desktop)
    desktop.set(desktop.page.engineer.editor.template, "prompt: new {{message}}")
    await desktop.fire("edited")
    await desktop.fire("calls_again_1")
    assert "not saved" in calls(desktop)


async def test_hostile_texts_stay_text(desktop: Desktop) -> None:
    desktop.set(desktop.page.engineer.picker, "hostile")
    await desktop.fire("choose")
    await desktop.fire("calls")
    shown = desktop.value(desktop.page.engineer.elsewhere.calls)
    for evil in ("<img", "<script", "${alert", "{{#each"):
        assert evil not in shown
    assert HOSTILE_TEXT in html.unescape(shown)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, "http://inside:7860"),
        ({"referer": "https://x.hf.space/?tab=overview&prompt=a/b"}, "https://x.hf.space"),
        (
            {"referer": "https://x.example/tools/herding/?q=1", "origin": "https://x.example"},
            "https://x.example/tools/herding",
        ),
        ({"referer": "https://evil.example/", "origin": "https://x.example"}, "http://inside:7860"),
        ({"referer": "javascript:alert(1)"}, "http://inside:7860"),
        ({"referer": "https://user@x.example/"}, "http://inside:7860"),
        ({"referer": "http://[bad"}, "http://inside:7860"),
        ({"referer": "http://[::1]:7860/", "origin": "http://[::1]:7860"}, "http://[::1]:7860"),
    ],
)
def test_the_address_is_the_one_that_the_browser_sees(headers: dict[str, str], found: str) -> None:
    request = SimpleNamespace(headers=headers, base_url="http://inside:7860/")
    assert address(request) == found  # type: ignore[arg-type]
