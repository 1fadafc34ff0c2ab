"""Updates of a stream that reach the page whole."""

from __future__ import annotations

from typing import Any

import gradio as gr


class FullUpdateBlocks(gr.Blocks):
    """Blocks whose streams send a changed update of a component as a whole, not as a difference to the one before.

    Gradio's page applies a difference to the very object that it was given before. A busy page may not have shown that
    one yet: a property that one update sets and the next one leaves out would then be lost, and a button stay disabled.
    Plain values cannot be changed like that, so a text that grows is still sent as what is new of it.
    """

    def handle_streaming_diffs(
        self,
        block_fn: Any,
        data: list[Any],
        session_hash: str | None,
        run: str | None,
        final: bool,
        *more: Any,
        **named: Any,
    ) -> list[Any]:
        begun = session_hash is not None and run in self.pending_diff_streams[session_hash]
        sent: list[Any] = super().handle_streaming_diffs(block_fn, data, session_hash, run, final, *more, **named)
        if session_hash is None or run is None or not begun or final:
            return sent
        whole = self.pending_diff_streams[session_hash][run]
        return [
            [["replace", [], now]] if edits and edits is not now and isinstance(now, dict) else edits
            for edits, now in zip(sent, whole, strict=False)
        ]
