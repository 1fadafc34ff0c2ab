"""Who goes next."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from herding.errors import OverloadedError, QueueFullError
from herding.routing.fair_queue import MAX_RATES, FairQueue, Place, Ticket


class Granted:
    """A lease of nothing."""

    def release(self) -> None:
        """Nothing to give back."""


Asked = Ticket[None, Granted]
Queue = FairQueue[None, Granted]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def queue(clock: Clock | None = None, **bounds: int) -> Queue:
    return FairQueue(clock or Clock(), **bounds)


def pushed(waiting: Queue, principal: str, kind: object = "k", count: int = 1) -> list[Asked]:
    tickets = [Asked(principal, kind, None) for _ in range(count)]
    for ticket in tickets:
        waiting.push(ticket)
    return tickets


def next_of(waiting: Queue) -> Asked:
    """Serve one ticket, whichever goes first."""
    ticket = next(waiting.heads())
    waiting.serve(ticket)
    return ticket


def order(waiting: Queue, count: int = 100) -> str:
    return "".join(next_of(waiting).principal for _ in range(min(count, len(waiting))))


def position(waiting: Queue, ticket: Asked) -> int:
    return waiting.place(ticket).position


def test_principals_take_turns() -> None:
    waiting = queue()
    pushed(waiting, "a", count=4)
    pushed(waiting, "b", count=2)
    pushed(waiting, "c")
    assert order(waiting) == "abcabaa"


def test_whoever_asks_again_while_waiting_loses_no_turn() -> None:
    waiting = queue()
    (first,) = pushed(waiting, "a", "x")
    pushed(waiting, "b", "y")
    pushed(waiting, "a", "x")
    pushed(waiting, "a", "z")
    assert next_of(waiting) is first


def test_within_a_principal_the_older_goes_first() -> None:
    waiting = queue()
    tickets = pushed(waiting, "a", count=50)
    assert [next_of(waiting) for _ in range(50)] == tickets


@pytest.mark.parametrize("served", [0, 1, 7])
def test_a_single_ticket_waits_for_one_of_a_thousand_others(served: int) -> None:
    waiting = queue()
    pushed(waiting, "hog", count=1_000)
    for _ in range(served):
        next_of(waiting)
    (mine,) = pushed(waiting, "me")
    assert position(waiting, mine) == 2
    assert order(waiting, 4) == "hogmehoghog"


def test_who_comes_back_at_once_takes_turns_as_well() -> None:
    waiting = queue()
    pushed(waiting, "hog", count=100)
    served = ""
    pushed(waiting, "me")
    for _ in range(20):
        ticket = next_of(waiting)
        served += ticket.principal[0]
        if ticket.principal == "me":
            pushed(waiting, "me")
    assert served == "hm" * 10


def test_a_stream_of_newcomers_starves_nobody() -> None:
    waiting = queue()
    pushed(waiting, "old", count=50)
    served: Counter[str] = Counter()
    for number in range(400):
        pushed(waiting, f"new {number}", kind=number % 3)
        pushed(waiting, f"newer {number}", kind="k")
        served[next_of(waiting).principal] += 1
    assert served["old"] > 3, "each round has one of each who waits"
    (mine,) = pushed(waiting, "me")
    place = position(waiting, mine)
    for number in range(place * 4):
        if not mine.waiting:
            break
        pushed(waiting, f"newest {number}")
        next_of(waiting)
    assert not mine.waiting


def test_many_classes_win_nothing() -> None:
    waiting = queue()
    for kind in range(5):
        pushed(waiting, "many", kind=kind, count=20)
    pushed(waiting, "one", kind="k", count=20)
    pushed(waiting, "too", kind=3, count=20)
    for _ in range(15):
        served = Counter(next_of(waiting).principal for _ in range(3))
        assert served == {"many": 1, "one": 1, "too": 1}


def test_a_ticket_that_leaves_leaves_no_trace() -> None:
    waiting = queue()
    many = pushed(waiting, "a", count=500)
    (other,) = pushed(waiting, "a", kind="other")
    pushed(waiting, "b", count=3)
    pushed(waiting, "b", kind="other", count=3)
    for ticket in many[:499]:
        assert waiting.remove(ticket)
        assert not waiting.remove(ticket)
    assert position(waiting, many[499]) == position(waiting, other) == 1
    assert order(waiting, 4).count("a") == 2


def test_the_place_moves_up_when_somebody_before_leaves() -> None:
    waiting = queue()
    tickets = pushed(waiting, "a", count=3)
    assert [position(waiting, ticket) for ticket in tickets] == [1, 2, 3]
    waiting.remove(tickets[1])
    assert [position(waiting, ticket) for ticket in (tickets[0], tickets[2])] == [1, 2]


def test_a_ticket_that_does_not_wait_has_no_place() -> None:
    with pytest.raises(ValueError, match="does not wait"):
        queue().place(Asked("a", "k", None))


def test_nobody_may_fill_the_queue_alone_and_all_together_have_a_bound() -> None:
    waiting = queue(max_waiting=5, max_per_principal=3)
    tickets = pushed(waiting, "a", count=2) + pushed(waiting, "a", kind="other")
    with pytest.raises(QueueFullError, match="3 of your requests are waiting") as own:
        pushed(waiting, "a")
    pushed(waiting, "b", count=2)
    with pytest.raises(OverloadedError, match="5 requests are waiting") as all_:
        pushed(waiting, "c")
    assert own.value.retry_after >= 1 <= all_.value.retry_after
    waiting.remove(tickets[2])
    pushed(waiting, "c")
    assert len(waiting) == 5


def test_the_wait_is_told_from_how_fast_the_line_moves() -> None:
    clock = Clock()
    waiting = queue(clock)
    tickets = pushed(waiting, "a", count=20)
    assert waiting.place(tickets[4]) == Place(5, None)
    for _ in range(10):
        clock.now += 2
        next_of(waiting)
    assert waiting.place(tickets[14]) == Place(5, pytest.approx(10))
    clock.now += 10
    slower = waiting.place(tickets[14]).seconds
    assert slower is not None
    assert 10 < slower < 20, "while nothing moves, the guess grows"
    clock.now += 1_000
    assert waiting.place(tickets[14]).seconds is None


def test_time_in_which_nobody_waits_says_nothing_about_the_pace() -> None:
    clock = Clock()
    waiting = queue(clock)
    for _ in range(5):
        pushed(waiting, "a")
        clock.now += 2
        next_of(waiting)
        clock.now += 5
    (ticket,) = pushed(waiting, "a")
    assert waiting.place(ticket) == Place(1, pytest.approx(2))


def test_grants_in_bursts_are_told_at_their_mean_pace() -> None:
    clock = Clock()
    waiting = queue(clock)
    tickets = pushed(waiting, "a", count=100)
    for _ in range(10):
        clock.now += 4
        for _ in range(4):
            next_of(waiting)
    assert waiting.place(tickets[49]).seconds == pytest.approx(10, rel=0.2)


def test_nothing_is_kept_of_who_waits_no_more() -> None:
    waiting = queue()
    for number in range(2_000):
        (ticket,) = pushed(waiting, f"p{number}", kind=number)
        (waiting.serve if number % 2 else waiting.remove)(ticket)
    kept: dict[str, Any] = vars(waiting)
    sizes = {name: len(value) for name, value in kept.items() if isinstance(value, dict)}
    assert sizes.pop("_rates") <= MAX_RATES
    assert set(sizes.values()) == {0}


def test_heads_gives_each_line_once_and_again_where_its_head_was_served() -> None:
    waiting = queue()
    pushed(waiting, "a", kind="blocked", count=5)
    pushed(waiting, "a", kind="open", count=3)
    pushed(waiting, "b", kind="open", count=1)
    seen = []
    for ticket in waiting.heads():
        seen.append(ticket.kind)
        if ticket.kind == "open":
            waiting.serve(ticket)
    assert Counter(seen) == {"open": 4, "blocked": 1}


def test_who_was_served_in_one_line_waits_for_the_others_in_all() -> None:
    waiting = queue()
    pushed(waiting, "a", kind="first")
    pushed(waiting, "a", kind="second")
    pushed(waiting, "b", kind="third")
    seen = []
    for ticket in waiting.heads():
        seen.append((ticket.principal, ticket.kind))
        waiting.serve(ticket)
    assert seen == [("a", "first"), ("b", "third"), ("a", "second")]


class QueueMachine(RuleBasedStateMachine):
    """The queue against a naive one: a list of turns, of which the one with the least (round, order) goes next."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: Queue = queue(max_waiting=60, max_per_principal=20)
        self.lines: dict[str, dict[str, list[Any]]] = {}
        """By class and principal: the round of the turn, its order, its tickets."""
        self.tails: dict[str, int] = {}
        self.count = 0

    def rounds(self, kind: str) -> list[int]:
        return [base for base, _, _ in self.lines.get(kind, {}).values()]

    @rule(principal=st.sampled_from("abcd"), kind=st.sampled_from("xyz"), count=st.integers(1, 8))
    def push(self, principal: str, kind: str, count: int) -> None:
        for _ in range(count):
            ticket = Asked(principal, kind, None)
            own = sum(len(line[principal][2]) for line in self.lines.values() if principal in line)
            if own >= 20 or len(self.tickets()) >= 60:
                with pytest.raises((QueueFullError, OverloadedError)):
                    self.queue.push(ticket)
                continue
            self.queue.push(ticket)
            line = self.lines.setdefault(kind, {})
            if principal not in line:
                self.count += 1
                tail = max([self.tails.get(kind, 0), *[min(rounds) for rounds in [self.rounds(kind)] if rounds]])
                line[principal] = [tail, self.count, []]
            line[principal][2].append(ticket)

    def tickets(self) -> list[Asked]:
        return [one for line in self.lines.values() for _, _, tickets in line.values() for one in tickets]

    @precondition(lambda self: self.lines)
    @rule(data=st.data())
    def serve(self, data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(sorted(self.lines)))
        expected = self.drained(kind)[0]
        (head,) = [ticket for ticket in self.queue.heads() if ticket.kind == kind]
        assert head is expected
        self.queue.serve(head)
        turn = self.lines[kind][head.principal]
        turn[2].remove(head)
        turn[0] += 1
        if turn[2]:
            self.tails[kind] = max(self.tails.get(kind, 0), turn[0])
        for other, line in self.lines.items():
            if other != kind and head.principal in line and line[head.principal][0] == min(self.rounds(other)):
                line[head.principal][0] += 1
                self.tails[other] = max(self.tails.get(other, 0), line[head.principal][0])
        self.tidy(kind, head.principal)

    @precondition(lambda self: self.lines)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.tickets()))
        assert self.queue.remove(ticket)
        self.lines[str(ticket.kind)][ticket.principal][2].remove(ticket)
        self.tidy(str(ticket.kind), ticket.principal)

    def tidy(self, kind: str, principal: str) -> None:
        if not self.lines[kind][principal][2]:
            del self.lines[kind][principal]
        if not self.lines[kind]:
            del self.lines[kind]
            self.tails.pop(kind, None)

    def drained(self, kind: str) -> list[Asked]:
        """The tickets of a class in the order in which they would go."""
        places = [
            (base + index, order, ticket)
            for base, order, tickets in self.lines[kind].values()
            for index, ticket in enumerate(tickets)
        ]
        return [ticket for _, _, ticket in sorted(places, key=lambda place: place[:2])]

    @invariant()
    def places_agree(self) -> None:
        assert len(self.queue) == len(self.tickets())
        for kind in self.lines:
            drained = self.drained(kind)
            assert [position(self.queue, ticket) for ticket in drained] == list(range(1, len(drained) + 1))


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
