"""The events of a streamed response, as they are written."""

from __future__ import annotations

import pytest

from herding.api.http.sse import encode_event
from herding.api.openai.responses import ChunkWriter


@pytest.mark.parametrize("is_chat", [True, False])
@pytest.mark.parametrize("model", ["echo", 'a [text] "[text]" model'])
def test_an_event_with_text_is_that_of_its_chunk(model: str, is_chat: bool) -> None:
    writer = ChunkWriter(is_chat=is_chat, include_usage=True)
    writer.start("1", model)
    writer.text_event("first")
    for text in ("", " two", 'quotes " and \\', "lines\r\n\u2028end", "[text]", "\U0001f999 é \ud800"):
        assert writer.text_event(text) == encode_event(writer.text(text))
    writer.extend({"service_tier": "default"})
    assert b"service_tier" in writer.text_event("more")
