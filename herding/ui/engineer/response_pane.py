"""The response: its text while it streams, its status and metrics, and the user's rating."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.errors import HerdingError
from herding.ui.engineer.session_state import Draft
from herding.ui.kit import response
from herding.ui.kit.format import el, empty_state
from herding.ui.kit.message_parts import reasoning_block, response_parts
from herding.ui.kit.stars import star_rating, update_stars
from herding.values import Message, Outcome

NO_RESPONSE = empty_state("No response yet", "Fill in the variables, then press Run or Ctrl+Enter.")


class ResponsePane:
    """Layout of the pane, and its updates for a draft or for a running request."""

    def __init__(self) -> None:
        self.status = gr.HTML(NO_RESPONSE, elem_id="response-status", elem_classes=["response-status"])
        self.parts = gr.HTML(elem_id="response-parts", visible=False)
        self.text = gr.Textbox(
            label="Response",
            lines=7,
            max_lines=26,
            interactive=False,
            placeholder=" ",
            buttons=["copy"],
            elem_id="response",
            html_attributes=gr.InputHTMLAttributes(spellcheck=False),
        )
        # Gradio's Chatbot renders the HTML that a model writes; here it stays text.
        self.chat = gr.HTML(visible=False, elem_id="response-chat")
        self.error = gr.HTML(elem_id="response-error", visible=False)
        self.metrics = gr.HTML(elem_id="response-details", visible=False)
        with gr.Column(visible=False, elem_id="feedback", elem_classes=["feedback"]) as self.feedback:
            self.stars = star_rating("stars", "Rate this response")
            with gr.Row(elem_classes=["comment-row"]):
                self.comment = gr.Textbox(
                    label="Comment",
                    lines=2,
                    max_lines=6,
                    placeholder="What was good or bad?",
                    interactive=True,
                    scale=5,
                    elem_id="comment",
                )
                self.save = gr.Button("Save comment", size="sm", scale=0, min_width=130, elem_id="comment-save")
            self.note = gr.HTML(elem_id="feedback-note", elem_classes=["note"])
            self.ratings = gr.HTML(elem_id="response-ratings")

    @property
    def components(self) -> list[Any]:
        """Everything that a run changes."""
        return [
            *(self.status, self.parts, self.text, self.chat, self.error, self.metrics),
            *(self.feedback, self.stars, self.comment, self.note, self.ratings),
        ]

    def show(self, draft: Draft, *, chat: bool) -> list[Any]:
        """Return the updates of `components` for the last response of a draft."""
        outcome, error = draft.outcome, draft.error
        status = response.final_status(outcome) if outcome else NO_RESPONSE
        if error and not outcome:
            status = response.not_sent_status(error.type)
        panel = response.error_panel(error.type, error.message) if error else ""
        return [
            status,
            _shown(response_parts(outcome) if outcome else Markup()),
            gr.update(value=draft.response, visible=not chat),
            gr.update(value=chat_html(draft.turns if chat else []), visible=chat),
            gr.update(value=panel, visible=error is not None),
            gr.update(value=response.metrics(outcome) if outcome else "", visible=outcome is not None),
            gr.update(visible=outcome is not None),
            update_stars(draft.stars, enabled=outcome is not None),
            draft.comment,
            "",
            draft.ratings,
        ]

    def show_start(self) -> dict[Any, Any]:
        """Return the updates for a run that starts; the last response is removed."""
        return {
            self.text: "",
            self.parts: _shown(Markup()),
            self.status: response.queued_status(None, 0),
            self.error: gr.update(value="", visible=False),
            self.metrics: gr.update(value="", visible=False),
            self.feedback: gr.update(visible=False),
        }

    def show_text(
        self, turns: Sequence[Message], question: str | None, text: str, *, reasoning: str = ""
    ) -> dict[Any, Any]:
        """Return the update for the text so far; a chat (with a question) shows it as its last turn.

        The reasoning before the text is unfolded until that begins.
        """
        thought = {self.parts: _shown(reasoning_block(reasoning, streaming=not text))} if reasoning else {}
        if question is None:
            return {self.text: text, **thought}
        asked = [*turns, Message("user", question)]
        return {self.chat: chat_html([*asked, Message("assistant", text)] if text else asked), **thought}

    def show_outcome(self, outcome: Outcome) -> dict[Any, Any]:
        """Return the updates for a recorded request, however it ended."""
        return {
            self.status: response.final_status(outcome),
            self.parts: _shown(response_parts(outcome)),
            self.metrics: gr.update(value=response.metrics(outcome), visible=True),
            self.feedback: gr.update(visible=True),
            self.stars: update_stars(None, enabled=True),
            self.comment: "",
            self.note: "",
            self.ratings: "",
        }

    def show_error(self, error: HerdingError) -> dict[Any, Any]:
        """Return the updates for a failed run; the text received so far stays."""
        return {
            self.status: response.not_sent_status(error.type),
            self.error: gr.update(value=response.error_panel(error.type, error.message), visible=True),
        }


def _shown(parts: Markup) -> dict[str, Any]:
    """Return the update of a component that is only there when it has something to show."""
    return gr.update(value=parts, visible=bool(parts))


def chat_html(turns: Sequence[Message]) -> Markup:
    """Return the turns of a chat, oldest first."""
    if not turns:
        return empty_state("No messages yet", "Enter a message in the variables and press Run; each run adds a turn.")
    return el("div", *(_bubble(turn) for turn in turns), cls="chat", role="log", aria_label="Chat")


def _bubble(turn: Message) -> Markup:
    name = {"user": "You", "assistant": "Model"}.get(turn.role, turn.role)
    return el(
        "div", el("span", name, cls="speaker"), el("div", turn.content, cls="message-text"), cls=f"turn-{turn.role}"
    )
