"""The parts of messages that are no text, as a person sees them."""

from __future__ import annotations

from typing import Any

from herding.ui.kit.responses.message_parts import message_body, reasoning_block, response_parts
from herding.values import Choice, Outcome

PICTURE = "data:image/png;base64,iVBORw0KGgo="
CALL = {"index": 0, "id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}


def outcome(answer: str = "", **choice: Any) -> Outcome:
    choices = (Choice(text=answer, **choice),) if choice else ()
    return Outcome("1", "ada", "p", 0, answer=answer, node="n", status="succeeded", choices=choices)


def test_a_plain_text_has_no_parts() -> None:
    assert response_parts(outcome("Hello")) == ""


def test_reasoning_is_folded_when_it_is_complete() -> None:
    assert "<details" in response_parts(outcome("4", reasoning="Let me think."))
    assert " open=" not in reasoning_block("Let me think.")


def test_what_a_model_writes_is_never_markup() -> None:
    evil = "<img src=x onerror=alert(1)>{{x}}"
    fields = {"tool_calls": [{"function": {"name": evil, "arguments": evil}}], "refusal": evil}
    shown = response_parts(outcome(reasoning=evil, fields=fields))
    assert "<img" not in shown
    assert "{{" not in shown


def test_tool_calls_are_cards() -> None:
    shown = response_parts(outcome(fields={"tool_calls": [CALL]}))
    assert "weather" in shown
    assert "&quot;city&quot;: &quot;Oslo&quot;" in shown
    assert "tool calls and no text" in shown


def test_odd_tool_calls_are_shown_too() -> None:
    for calls in ([{}], ["x"], [{"function": {"arguments": "half {"}}], [{"custom": {"name": "f", "input": "x"}}]):
        response_parts(outcome(fields={"tool_calls": calls}))


def test_a_refusal_and_further_choices() -> None:
    assert "The model refused" in response_parts(outcome(fields={"refusal": "No."}))
    two = (Choice(text="a"), Choice(1, "b"), Choice(2, "c"))
    shown = response_parts(Outcome("1", "ada", "p", 0, answer="a", choices=two))
    assert "2 more choices" in shown
    assert "Choice 3" in shown


def test_pictures_of_the_message_are_shown_and_others_are_named() -> None:
    parts = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": PICTURE}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,PHN2Zz4="}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        "odd",
    ]
    shown = message_body({"role": "user", "content": parts})
    assert shown.count("<img") == 1
    assert PICTURE in shown
    for words in ("Look", "https://example.com/a.png", "a.pdf", "wav"):
        assert words in shown


def test_messages_with_tools() -> None:
    assert "weather" in message_body({"role": "assistant", "content": None, "tool_calls": [CALL]})
    assert "c1" in message_body({"role": "tool", "tool_call_id": "c1", "content": "rain"})
