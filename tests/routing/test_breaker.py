"""Which nodes may be called, from what came of the calls before."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from herding.errors import (
    BadResponseError,
    ConnectError,
    ContextLengthError,
    HerdingError,
    MisconfiguredError,
    NodeBusyError,
    NodeError,
    NoNodeError,
    StreamInterruptedError,
    UserError,
    status_error,
)
from herding.routing.breaker import BreakerSettings, CircuitBreakers, Permit, Sender
from herding.routing.event_log import EventLog

DOWN = ConnectError("Node 'a' cannot be reached: all about my secret text.")


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


class Site:
    """A health with one node `a`."""

    def __init__(self, rules: BreakerSettings | None = None, seed: int = 1) -> None:
        self.clock, self.wall = Clock(), 0
        self.events = EventLog(lambda: self.wall)
        self.health = CircuitBreakers(clock=self.clock, rng=Random(seed), events=self.events, settings=rules)

    def permit(self) -> Permit:
        permit = self.health.acquire("a")
        assert permit is not None
        return permit

    def fail(self, error: HerdingError = DOWN, times: int = 1) -> None:
        for _ in range(times):
            self.permit().failed(error)

    def work(self, times: int = 1) -> None:
        for _ in range(times):
            self.permit().succeeded()

    def eject(self) -> float:
        self.fail(times=3)
        return self.seconds

    @property
    def state(self) -> str:
        return self.health.status("a").state

    @property
    def seconds(self) -> float:
        seconds = self.health.status("a").seconds
        assert seconds is not None
        return seconds

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in reversed(self.events.latest())]


@pytest.fixture
def site() -> Site:
    return Site()


def test_three_failures_in_a_row_eject_a_node(site: Site) -> None:
    site.fail(times=2)
    site.work()
    site.fail(times=2)
    assert site.state == "healthy"
    site.fail()
    assert (site.state, site.health.allows("a"), site.health.acquire("a")) == ("ejected", False, None)
    assert 4 <= site.seconds <= 5


@pytest.mark.parametrize(("between", "state"), [(0, "ejected"), (31, "healthy")])
def test_half_of_the_calls_of_the_last_half_minute_eject_a_node(site: Site, between: float, state: str) -> None:
    for _ in range(4):
        site.work()
        site.fail()
    site.work()
    assert site.state == "healthy", "nine calls are too few to tell"
    site.clock.wait(between)
    site.fail()
    assert site.state == state


def test_a_node_that_fails_now_and_then_stays(site: Site) -> None:
    for _ in range(100):
        site.work(2)
        site.fail()
    assert site.state == "healthy"


def test_after_the_ejection_one_trial_decides(site: Site) -> None:
    site.clock.wait(site.eject())
    assert (site.state, site.health.allows("a")) == ("trial", True)
    trial = site.permit()
    assert trial.trial
    assert (site.health.allows("a"), site.health.acquire("a"), site.seconds) == (False, None, 1.0)
    trial.succeeded()
    assert (site.state, site.kinds) == ("healthy", ["ejected", "recovered"])
    assert site.health.acquire("a") is not None
    assert site.health.acquire("a") is not None


def test_a_trial_that_fails_ejects_for_longer_up_to_five_minutes() -> None:
    site = Site(BreakerSettings(jitter=0))
    times = [site.eject()]
    for _ in range(70):
        site.clock.wait(site.seconds)
        site.fail()
        times.append(site.seconds)
    assert times[:4] == [5, 10, 15, 20]
    assert times[-1] == 300 == max(times)


@given(st.integers(0, 2**32), st.integers(0, 100))
def test_ejections_are_jittered_within_their_bounds(seed: int, failed_trials: int) -> None:
    site = Site(seed=seed)
    site.eject()
    for _ in range(failed_trials):
        site.clock.wait(site.seconds)
        site.fail()
    longest = min(300, 5 * (failed_trials + 1))
    assert 0.8 * longest <= site.seconds <= longest


def test_two_nodes_that_failed_together_do_not_come_back_together() -> None:
    assert len({Site(seed=seed).eject() for seed in range(20)}) > 10


def test_the_count_of_ejections_fades_while_the_node_is_well() -> None:
    """A node that flaps is out for longer each time; one that was well for long starts anew."""
    site = Site(BreakerSettings(jitter=0))
    assert site.eject() == 5
    for expected in (10, 15):
        site.clock.wait(site.seconds)
        site.work()
        assert site.eject() == expected
    site.clock.wait(site.seconds)
    site.work()
    site.clock.wait(61)
    assert site.eject() == 10, "two of three ejections are forgotten after a minute"


def test_a_caller_who_leaves_says_nothing_about_the_node_and_frees_the_trial(site: Site) -> None:
    for _ in range(9):
        site.permit().cancelled()
    assert site.state == "healthy"
    site.clock.wait(site.eject())
    with site.permit() as trial:
        assert trial.trial
        assert not site.health.allows("a")
    assert (site.state, site.health.allows("a")) == ("trial", True)
    site.work()
    assert site.state == "healthy"


@pytest.mark.parametrize(
    "error",
    [
        UserError("No."),
        ContextLengthError("Too long."),
        NoNodeError("None."),
        status_error("No.", status=400),
        *(status_error("No.", status=status) for status in (402, 403, 404, 408, 409, 413, 415, 418, 422, 451)),
    ],
)
def test_faults_of_the_request_cost_no_health_and_pass_no_trial(site: Site, error: HerdingError) -> None:
    site.fail(error, times=20)
    assert site.state == "healthy"
    site.fail(times=2)
    site.fail(error)
    site.fail()
    assert site.state == "ejected", "nor do they interrupt a row of failures"
    site.clock.wait(site.seconds)
    site.fail(error)
    assert (site.state, site.health.allows("a")) == ("trial", True)


@pytest.mark.parametrize(
    "error",
    [
        NodeError("?"),
        StreamInterruptedError("Cut."),
        BadResponseError("?"),
        status_error("?", status=500),
        status_error("?", status=503),
        status_error("?", status=504),
    ],
)
def test_faults_of_the_node_do(site: Site, error: HerdingError) -> None:
    site.fail(error, times=3)
    assert site.state == "ejected"


def test_only_a_call_tells_not_a_look(site: Site) -> None:
    site.clock.wait(site.eject() + 100)
    for _ in range(10):
        assert site.health.status("a").state == "trial"
    assert site.kinds == ["ejected"]


def test_answers_from_before_the_ejection_neither_end_nor_lengthen_it(site: Site) -> None:
    late = [site.permit() for _ in range(6)]
    seconds = site.eject()
    late[0].succeeded()
    late[1].failed(DOWN)
    assert (site.state, site.seconds) == ("ejected", seconds)
    site.clock.wait(seconds)
    late[2].succeeded()
    assert site.state == "trial"
    site.work()
    for permit in late[3:]:
        permit.failed(DOWN)
    assert site.state == "healthy"


def test_the_first_token_ends_a_trial_but_no_row_of_failures(site: Site) -> None:
    cut = StreamInterruptedError("Cut.")
    for _ in range(3):
        with site.permit() as call:
            call.first_token()
            call.failed(cut)
    assert site.state == "ejected"
    site.clock.wait(site.seconds)
    trial = site.permit()
    trial.first_token()
    assert site.state == "healthy"
    trial.failed(cut)
    site.fail(cut, times=2)
    assert (site.state, site.health.status("a").ejections) == ("ejected", 2)


def test_a_permit_is_ended_once(site: Site) -> None:
    permit = site.permit()
    permit.succeeded()
    for _ in range(9):
        permit.failed(DOWN)
    permit.first_token()
    assert (site.state, site.health.status("a").failures_in_a_row) == ("healthy", 0)


def test_a_node_that_says_429_rests_as_long_as_it_says(site: Site) -> None:
    site.fail(NodeBusyError("Slow down.", status=429, retry_after=20))
    assert (site.state, site.seconds, site.health.allows("a")) == ("resting", 20, False)
    site.clock.wait(19.9)
    assert site.health.acquire("a") is None
    site.clock.wait(0.1)
    assert (site.state, site.permit().trial) == ("healthy", False)
    assert site.health.status("a").ejections == 0


def test_a_node_that_says_503_and_when_rests_as_well(site: Site) -> None:
    site.fail(status_error("Loading.", status=503, retry_after=2), times=1)
    assert (site.state, site.seconds) == ("resting", 2)


def test_429_without_a_time_rests_for_a_moment_longer_each_time(site: Site) -> None:
    busy, rests = NodeBusyError("Slow down.", status=429), []
    for _ in range(9):
        together = [site.permit() for _ in range(5)]
        for call in together:
            call.failed(busy)
        rests.append(site.seconds)
        site.clock.wait(site.seconds)
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    site.work()
    site.fail(busy)
    assert site.seconds == 1


def test_no_rest_is_longer_than_an_hour(site: Site) -> None:
    site.fail(NodeBusyError("Never.", status=429, retry_after=1e9))
    assert site.seconds == 3600


def test_a_trial_that_is_told_to_wait_is_no_recovery(site: Site) -> None:
    site.clock.wait(site.eject())
    site.fail(NodeBusyError("Slow down.", status=429, retry_after=7))
    assert (site.state, site.seconds) == ("resting", 7)
    site.clock.wait(7)
    assert site.state == "trial"


def test_a_node_that_refuses_our_key_is_tried_again_by_itself_ever_less_often(site: Site) -> None:
    old, older = site.permit(), site.permit()
    site.fail(MisconfiguredError("No."))
    older.failed(NodeBusyError("Slow down.", status=429))
    assert (site.state, site.health.allows("a"), site.seconds) == ("misconfigured", False, 30)
    waits = []
    for _ in range(7):
        waits.append(site.seconds)
        site.clock.wait(site.seconds)
        assert (site.state, site.health.allows("a")) == ("trial", True)
        site.clock.wait(2)
        assert site.health.probes_due() == ["a"]
        site.fail(MisconfiguredError("No."))
    assert waits == [30, 60, 120, 240, 480, 600, 600]
    site.health.reset("a")
    old.failed(MisconfiguredError("The old key."))
    assert site.state == "trial", "a mended node shows that it works before it gets more"
    site.work()
    site.fail(MisconfiguredError("No."))
    assert site.seconds == 30
    assert site.kinds == ["misconfigured", "resting"] + ["misconfigured"] * 7 + ["mended", "recovered", "misconfigured"]


def test_a_refusal_of_a_probe_is_about_the_key_that_of_a_request_is_not(site: Site) -> None:
    site.fail(status_error("Forbidden.", status=403), times=10)
    assert site.state == "healthy"
    probe = site.health.acquire("a", probe=True)
    assert probe is not None
    probe.failed(status_error("Forbidden.", status=403))
    assert site.state == "misconfigured"


# Whose failures count


SPOILT = status_error("Internal error.", status=500)


def test_one_caller_alone_ejects_no_node(site: Site) -> None:
    for body in range(100):
        site.permit().failed(SPOILT, Sender("mallory", body))
        site.clock.wait(1)
    assert site.state == "healthy"


def test_one_body_alone_ejects_no_node(site: Site) -> None:
    for number in range(100):
        site.permit().failed(SPOILT, Sender(f"guest {number}", 7))
    assert site.state == "healthy"


def test_one_caller_between_the_calls_of_others_ejects_no_node(site: Site) -> None:
    for body in range(100):
        site.permit().failed(SPOILT, Sender("mallory", body))
        if body % 3 == 0:
            site.work()
    assert site.state == "healthy"


def test_three_callers_with_three_bodies_do(site: Site) -> None:
    for number in range(2):
        assert site.state == "healthy"
        site.permit().failed(SPOILT, Sender("user 0", 99))
        site.permit().failed(SPOILT, Sender(f"user {number + 1}", 99))
        site.permit().failed(SPOILT, Sender(f"user {number + 1}", number))
    assert site.state == "ejected"


def test_that_a_node_cannot_be_reached_is_no_callers_doing(site: Site) -> None:
    for body in range(3):
        site.permit().failed(DOWN, Sender("lone", body))
    assert site.state == "ejected"


def test_one_caller_does_not_prolong_an_ejection(site: Site) -> None:
    site.permit().failed(SPOILT, Sender("mallory", 1))
    site.fail(times=2)
    site.clock.wait(site.seconds)
    site.permit().failed(SPOILT, Sender("mallory", 2))
    site.clock.wait(100)
    site.permit().failed(SPOILT, Sender("mallory", 3))
    assert (site.state, site.health.allows("a")) == ("trial", True)
    site.fail()
    assert site.state == "ejected"


@pytest.mark.parametrize(("works", "state"), [(True, "healthy"), (False, "ejected")])
def test_where_one_caller_alone_sees_failures_a_probe_decides(site: Site, works: bool, state: str) -> None:
    for body in range(3):
        assert site.health.probes_due() == []
        site.permit().failed(SPOILT, Sender("lone", body))
    assert site.health.probes_due() == ["a"]
    probe = site.health.acquire("a", probe=True)
    assert probe is not None
    assert site.health.probes_due() == [], "one is on its way"
    probe.succeeded() if works else probe.failed(SPOILT)
    assert site.state == state


def test_a_rest_grows_only_when_different_callers_are_refused(site: Site) -> None:
    rests = []
    for account in ("mallory", "mallory", "mallory", "alice", "mallory"):
        site.permit().failed(NodeBusyError("Slow down.", status=429), Sender(account, len(rests)))
        rests.append(site.seconds)
        site.clock.wait(site.seconds)
    assert rests == [1, 2, 2, 2, 4]


def test_the_last_node_is_on_trial_at_worst(site: Site) -> None:
    site.health = CircuitBreakers(clock=site.clock, rng=Random(1), events=site.events, is_last=lambda _: True)
    site.fail(times=3)
    assert (site.state, site.seconds) == ("trial", 0)
    assert not site.health.allows("a"), "whoever has another node takes that"
    trial = site.health.acquire("a", last=True)
    assert trial is not None
    assert not site.health.allows("a", last=True), "one call at a time"
    assert site.health.retry_after(["a"], last=True) == 1
    trial.succeeded()
    assert site.state == "healthy"


def test_mending_lets_an_ejected_node_try_at_once(site: Site) -> None:
    site.health.reset("a")
    site.eject()
    site.health.reset("a")
    assert (site.state, site.permit().trial) == ("trial", True)
    assert site.kinds == ["ejected", "mended"]


def test_when_all_are_ejected_the_caller_hears_when_to_come_back(site: Site) -> None:
    first = site.eject()
    site.clock.wait(1)
    for _ in range(3):
        permit = site.health.acquire("b")
        assert permit
        permit.failed(DOWN)
    assert site.health.retry_after(["a", "b"]) == pytest.approx(first - 1)
    assert site.health.retry_after(["a", "b", "unknown"]) == 0
    site.clock.wait(first)
    assert site.health.retry_after(["a", "b"]) == 0
    trial = site.permit()
    assert site.health.retry_after(["a"]) == 1, "a trial is under way"
    trial.failed(MisconfiguredError("No."))
    assert site.health.retry_after(["a"]) == pytest.approx(30)
    assert site.health.retry_after([]) is None


def test_a_node_that_nobody_calls_is_due_a_probe(site: Site) -> None:
    site.clock.wait(site.eject() + 1.9)
    assert site.health.probes_due() == []
    site.clock.wait(0.2)
    assert site.health.probes_due() == ["a"]
    probe = site.permit()
    site.clock.wait(9)
    assert site.health.probes_due() == [], "a trial is under way"
    probe.cancelled()
    assert site.health.probes_due() == []
    site.clock.wait(2.1)
    assert site.health.probes_due() == ["a"]
    site.work()
    assert site.health.probes_due() == []


def test_events_tell_what_happened_but_no_text_of_a_request(site: Site) -> None:
    site.wall = 7
    site.eject()
    site.clock.wait(site.seconds)
    site.fail(status_error("my secret text", status=500))
    newest, oldest = site.events.latest()
    assert (oldest.at_ms, oldest.node, oldest.kind) == (7, "a", "ejected")
    assert oldest.detail.startswith("cannot be reached: 3 failures in a row; ejected for")
    assert newest.detail.startswith("responds HTTP 500 in a trial; ejected for")
    assert site.health.status("a").reason == "responds HTTP 500 in a trial"


def test_a_forgotten_node_is_not_heard_of(site: Site) -> None:
    late = [site.permit() for _ in range(3)]
    site.health.remove("a")
    site.work()
    for permit in late:
        permit.failed(DOWN)
    assert (site.state, site.kinds) == ("healthy", [])


class BreakerMachine(RuleBasedStateMachine):
    """Any order of calls and ends: never two trials, no way out of an ejection but a trial, all bounds kept."""

    def __init__(self) -> None:
        super().__init__()
        self.site = Site()
        self.open: list[Permit] = []
        self.trials: list[Permit] = []
        self.before = "healthy"

    @rule(seconds=st.sampled_from([0.5, 3, 20, 400]))
    def wait(self, seconds: float) -> None:
        self.site.clock.wait(seconds)

    @rule()
    def enter(self) -> None:
        may, state = self.site.health.allows("a"), self.site.state
        permit = self.site.health.acquire("a")
        assert (permit is not None) == may
        if permit:
            assert state in ("healthy", "trial")
            assert permit.trial == (state == "trial")
            self.open.append(permit)
            if permit.trial:
                self.trials.append(permit)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), how=st.sampled_from(["work", "fail", "drop", "busy", "user", "first"]))
    def end(self, data: st.DataObject, how: str) -> None:
        permit = data.draw(st.sampled_from(self.open))
        before, counts = self.site.state, permit in self.trials
        {
            "work": permit.succeeded,
            "fail": lambda: permit.failed(DOWN),
            "drop": permit.cancelled,
            "busy": lambda: permit.failed(NodeBusyError("Slow down.", status=429, retry_after=3)),
            "user": lambda: permit.failed(UserError("No.")),
            "first": permit.first_token,
        }[how]()
        if how != "first":
            self.open.remove(permit)
        if how != "first" or self.site.state == "healthy":
            self.trials = [trial for trial in self.trials if trial is not permit]
        if before in ("ejected", "trial") and self.site.state == "healthy":
            assert how in ("work", "first")
            assert counts
        if before == "healthy" and self.site.state == "ejected":
            assert how == "fail"

    @invariant()
    def one_trial(self) -> None:
        assert len(self.trials) <= 1
        if self.trials:
            assert not self.site.health.allows("a")

    @invariant()
    def may_and_state_agree(self) -> None:
        state, seconds = self.site.state, self.site.seconds
        assert 0 <= seconds <= 300
        assert (seconds == 0) == self.site.health.allows("a")
        if state in ("ejected", "resting"):
            assert not self.site.health.allows("a")


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
