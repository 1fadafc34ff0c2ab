"""The branches of a chat: an edited message or a regenerated response starts another one."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from herding.ui.kit.fields import button
from herding.ui.kit.format import el
from herding.ui.kit.responses.request_input import message_text, read_messages
from herding.values import Outcome

Turns = tuple[tuple[str, str], ...]


class Branches:
    """The requests of a chat as a tree: each goes on after the response whose turns it was sent with."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        ordered = sorted(outcomes, key=lambda outcome: (outcome.created_at, outcome.request_id))
        self._sent = {outcome.request_id: _sent(outcome) for outcome in ordered}
        self._outcomes = {outcome.request_id: outcome for outcome in ordered}
        self._by_response: dict[Turns, str] = {}
        self._by_turns: dict[Turns, list[str]] = {}
        for outcome in ordered:
            sent = self._sent[outcome.request_id]
            self._by_response[(*sent, ("assistant", outcome.answer))] = outcome.request_id
            self._by_turns.setdefault(sent[:-1], []).append(outcome.request_id)

    def until(self, request_id: str) -> list[Outcome]:
        """Return the requests of a chat from its first one to this one."""
        found, current = list[str](), self._known(request_id)
        while current is not None and current not in found:
            found.append(current)
            current = self._by_response.get(self._sent[current][:-1])
        return [self._outcomes[one] for one in reversed(found)]

    def beside(self, request_id: str) -> list[str]:
        """Return the ids of the requests at the same place of the chat, oldest first, with this one."""
        return self._by_turns.get(self._sent[request_id][:-1], []) if request_id in self._sent else []

    def branch(self, request_id: str) -> list[Outcome]:
        """Return the newest branch that goes through a request."""
        found = self.until(request_id)
        while found:
            last = found[-1]
            after = (*self._sent[last.request_id], ("assistant", last.answer))
            following = self._by_turns.get(after, [])
            if not following or self._outcomes[following[-1]] in found:
                break
            found.append(self._outcomes[following[-1]])
        return found

    def switch(self, request_id: str) -> Markup | None:
        """Return the buttons that switch to the branches beside a request; None if there is only one."""
        beside = self.beside(request_id)
        if len(beside) < 2:
            return None
        at = beside.index(request_id)
        return el(
            "span",
            self._step("‹", "Previous branch", beside[at - 1] if at else None),
            el("span", f"{at + 1}/{len(beside)}", cls="muted"),
            self._step("›", "Next branch", beside[at + 1] if at + 1 < len(beside) else None),
            cls="turn-branches",
            role="group",
            aria_label=f"Branch {at + 1} of {len(beside)}",
        )

    def _step(self, mark: str, label: str, request_id: str | None) -> Markup:
        ids = "~".join(outcome.request_id for outcome in self.branch(request_id)) if request_id else None
        disabled = None if request_id else ""
        return button(mark, kind="quiet", cls="turn-button", data_branch=ids, disabled=disabled, title=label,
                      aria_label=label)  # fmt: skip

    def _known(self, request_id: str) -> str | None:
        return request_id if request_id in self._sent else None


def _sent(outcome: Outcome) -> Turns:
    """Return the turns that a request was sent with, the user's last message included; no system messages."""
    found = read_messages(outcome) or []
    return tuple((str(body["role"]), message_text(body.get("content"))) for body in found if body["role"] != "system")
