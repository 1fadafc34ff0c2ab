"""The answer's side of the first tab: the text as it streams, how it went, and what the reader thinks of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.errors import HerdingError
from herding.ui.engineer.session_state import Draft
from herding.ui.kit import response
from herding.ui.kit.format import el, empty_state
from herding.ui.kit.stars import star_rating, update_stars
from herding.values import Delta, Done, Event, Message, Outcome, Queued, Started

NOTHING_YET = empty_state("No answer yet", "Fill in the variables and press Run, or Ctrl + Enter.")
SAVED = el("span", "✓ Saved", cls="saved")
FORGOTTEN = el("span", "This answer is not on this page any more; rate it in the History tab.", cls="muted")


class AnswerPane:
    """Components of the pane, and what they show of a draft or of a run."""

    def __init__(self) -> None:
        self.status = gr.HTML(NOTHING_YET, elem_id="answer-status", elem_classes=["answer-status"])
        self.text = gr.Textbox(
            label="Answer",
            lines=7,
            max_lines=26,
            interactive=False,
            placeholder=" ",
            buttons=["copy"],
            elem_id="answer",
            html_attributes=gr.InputHTMLAttributes(spellcheck=False),
        )
        # Gradio's Chatbot draws the HTML that a model writes; here its text stays text.
        self.chat = gr.HTML(visible=False, elem_id="answer-chat")
        self.problem = gr.HTML(elem_id="answer-error", visible=False)
        self.figures = gr.HTML(elem_id="answer-details", visible=False)
        with gr.Column(visible=False, elem_id="feedback", elem_classes=["feedback"]) as self.feedback:
            self.stars = star_rating("stars", "Rate this answer")
            with gr.Row(elem_classes=["comment-row"]):
                self.comment = gr.Textbox(
                    label="Comment",
                    lines=2,
                    max_lines=6,
                    placeholder="What was good, what was not?",
                    interactive=True,
                    scale=5,
                    elem_id="comment",
                )
                self.save = gr.Button("Save comment", size="sm", scale=0, min_width=130, elem_id="comment-save")
            self.note = gr.HTML(elem_id="feedback-note", elem_classes=["note"])

    @property
    def components(self) -> list[Any]:
        """All that a run changes, as outputs of events."""
        return [
            *(self.status, self.text, self.chat, self.problem, self.figures),
            *(self.feedback, self.stars, self.comment, self.note),
        ]

    def shows(self, draft: Draft, *, chat: bool) -> list[Any]:
        """Updates of `components` for a draft whose run is over, or has never begun."""
        outcome, error = draft.outcome, draft.problem
        turns = draft.turns if chat else []
        status = response.final_status(outcome) if outcome else NOTHING_YET
        if error and not outcome:
            status = response.not_sent_status(error.type)
        panel = response.error_panel(error.type, error.message) if error else ""
        return [
            status,
            gr.update(value=draft.answer, visible=not chat),
            gr.update(value=bubbles(turns), visible=chat),
            gr.update(value=panel, visible=error is not None),
            gr.update(value=response.metrics(outcome) if outcome else "", visible=outcome is not None),
            gr.update(visible=outcome is not None),
            update_stars(draft.stars, enabled=outcome is not None),
            draft.comment,
            "",
        ]

    def begins(self) -> dict[Any, Any]:
        """Updates for a run that begins: the old answer goes."""
        return {
            self.text: "",
            self.status: response.queued_status(None, 0),
            self.problem: gr.update(value="", visible=False),
            self.figures: gr.update(value="", visible=False),
            self.feedback: gr.update(visible=False),
        }

    def says(self, turns: Sequence[Message], question: str | None, answer: str) -> dict[Any, Any]:
        """Updates for the text so far; a chat (with a question) shows it as its last turn."""
        if question is None:
            return {self.text: answer}
        said = [*turns, Message("user", question)]
        return {self.chat: bubbles([*said, Message("assistant", answer)] if answer else said)}

    def ends(self, outcome: Outcome) -> dict[Any, Any]:
        """Updates for a run that has a row, however it ended."""
        return {
            self.status: response.final_status(outcome),
            self.figures: gr.update(value=response.metrics(outcome), visible=True),
            self.feedback: gr.update(visible=True),
            self.stars: update_stars(None, enabled=True),
            self.comment: "",
            self.note: "",
        }

    def fails(self, error: HerdingError) -> dict[Any, Any]:
        """Updates for a run that ended with an error; what had arrived of the answer stays."""
        return {
            self.status: response.not_sent_status(error.type),
            self.problem: gr.update(value=response.error_panel(error.type, error.message), visible=True),
        }


@dataclass
class Progress:
    """What is known of a running request; feed it the events as they come."""

    began: float = field(default_factory=time.monotonic)
    queued: Queued | None = None
    started: Started | None = None
    outcome: Outcome | None = None
    answer: str = ""

    @property
    def request_id(self) -> str:
        """The id of the request, empty until it has one."""
        known = self.started or self.queued
        return known.request_id if known else ""

    @property
    def status(self) -> Markup:
        """The line above the answer."""
        ms = (time.monotonic() - self.began) * 1000
        if self.started is None:
            return response.queued_status(self.queued, ms)
        return response.running_status(self.started, ms, streaming=bool(self.answer))

    def take(self, events: Sequence[Event]) -> bool:
        """Note a batch of events; tells whether the answer grew."""
        before = len(self.answer)
        for event in events:
            match event:
                case Queued():
                    self.queued = event
                case Started():
                    self.started = event
                case Delta():
                    self.answer += event.text
                case Done():
                    self.outcome = event.outcome
                    self.answer = event.outcome.answer
        return len(self.answer) != before


def bubbles(turns: Sequence[Message]) -> Markup:
    """The turns of a chat, oldest first."""
    if not turns:
        return empty_state("No turns yet", "Write a message in the variables and press Run; each run adds a turn.")
    return el("div", *(_bubble(turn) for turn in turns), cls="chat", role="log", aria_label="Chat")


def _bubble(turn: Message) -> Markup:
    name = {"user": "You", "assistant": "Model"}.get(turn.role, turn.role)
    return el("div", el("span", name, cls="speaker"), el("div", turn.content, cls="said"), cls=f"turn-{turn.role}")
