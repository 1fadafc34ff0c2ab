"""What a stream changes reaches a page that is slow to show it."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from herding.ui.kit.full_updates import FullUpdateBlocks

SKIP = {"__type__": "update"}
ON = SKIP | {"interactive": True}
OFF = SKIP | {"interactive": False}


def sent(blocks: gr.Blocks, updates: list[list[Any]]) -> list[list[Any]]:
    """What the page gets of the updates of one stream, as it comes over the wire; the last message repeats the end."""
    event = next(iter(blocks.fns.values()))
    given: dict[str, Any] = {"session_hash": "someone", "run": "one"}
    found = [blocks.handle_streaming_diffs(event, list(one), final=False, **given) for one in updates]
    found.append(blocks.handle_streaming_diffs(event, [None] * len(updates[0]), final=True, **given))
    read: list[list[Any]] = json.loads(json.dumps(found))
    return read


def applied(held: Any, edits: list[Any]) -> Any:
    """What Gradio's page makes of a difference: it changes the very object that it was given before."""
    for action, path, value in edits:
        if not path:
            held = held + value if action == "append" else value
        elif action == "delete":
            del held[path[0]]
        else:
            held[path[0]] = held[path[0]] + value if action == "append" else value
    return held


def shown_late(messages: list[list[Any]]) -> list[list[Any]]:
    """The updates as a page sees them that looks at the first only when the last but one has come."""
    held = list(messages[0])
    seen = [list(held)]
    for message in messages[1:-1]:
        held = [applied(old, edits) for old, edits in zip(held, message, strict=True)]
        seen.append(list(held))
    return [*seen, messages[-1]]


def stream() -> FullUpdateBlocks:
    with FullUpdateBlocks(analytics_enabled=False) as blocks:
        outputs = [gr.Button("Stop"), gr.Textbox()]
        gr.Button("Run").click(lambda: None, None, outputs)
    return blocks


def test_a_property_that_only_one_update_sets_is_not_lost() -> None:
    updates = [[OFF, SKIP], [SKIP, "one"], [ON, SKIP], [SKIP, "one two"], [SKIP, "one two three"]]
    assert shown_late(sent(stream(), updates)) == [*updates, updates[-1]]


def test_a_text_that_grows_is_sent_as_what_is_new_of_it() -> None:
    found = sent(stream(), [[OFF, "one"], [OFF, "one two"], [OFF, "one two"]])
    assert found[1:3] == [[[], [["append", [], " two"]]], [[], []]]
    assert found[3] == [OFF, "one two"]


def test_a_caller_that_wants_no_differences_gets_all_of_each_update() -> None:
    blocks = stream()
    event = next(iter(blocks.fns.values()))
    given: dict[str, Any] = {"session_hash": "someone", "run": "one", "final": False, "simple_format": True}
    for update in ([OFF, "one"], [ON, "one two"]):
        assert blocks.handle_streaming_diffs(event, list(update), **given) == update
