"""Streams that send full updates instead of differences."""

from __future__ import annotations

from typing import Any

import gradio as gr


class FullUpdateBlocks(gr.Blocks):
    """Blocks whose streams send a changed component update in full, not as a difference to the previous one.

    Gradio's page applies a difference to the object of the previous update. A busy page may not have rendered that one
    yet: a property that one update sets and the next one omits would be lost, and a button would stay disabled.
    Plain values are not affected, so text that grows is still sent as a difference.
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
