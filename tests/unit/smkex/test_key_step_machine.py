"""Steps from either end at any moment, while paths die, stall, join and reorder: data stays whole and in order."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from wires import Net, Wire

from smkex.core.events import SessionClosed, SessionFailed
from smkex.core.session.key_steps import ATTEMPT_LIMIT, STEP_INTERVAL, StepSettings
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.session.path_set import MAXIMUM_PATHS
from smkex.core.wire.named_group import NamedGroup

ENDS = ("client", "server")
STREAM = bytes(range(251)) * 4000
MEDIUM = 1 << 16
DELAYS = (0.003, 0.01, 0.03, 0.08)


class StepMachine(RuleBasedStateMachine):
    """Two ends and their wires; at least one path always works, so nothing may be lost."""

    @initialize(
        scheduler=st.sampled_from(Scheduler),
        delays=st.tuples(st.sampled_from(DELAYS), st.sampled_from(DELAYS)),
        near_an_epochs_end=st.booleans(),
    )
    def begin(self, scheduler: Scheduler, delays: tuple[float, float], near_an_epochs_end: bool) -> None:
        start = (1 << 24) - 50_000 if near_an_epochs_end else 0
        steps = StepSettings(group=NamedGroup.X25519)
        self.net = Net(*delays, scheduler=scheduler, start=start, steps=steps)
        self.written = dict.fromkeys(ENDS, 0)
        self.number = 2
        self.harmed: set[int] = set()
        self.steps_before = (0, 0)

    def works(self) -> list[int]:
        """The paths that are open at both ends, and that nothing was done to."""
        both = set(self.net.client.paths) & set(self.net.server.paths)
        return sorted(path for path in both - self.harmed if not self.net.wires[path].blackhole)

    @rule(end=st.sampled_from(ENDS), length=st.integers(1, 3 * MEDIUM))
    def write(self, end: str, length: int) -> None:
        at = self.written[end]
        data = STREAM[at : at + length]
        self.net.ends[end].write(data)
        self.written[end] += len(data)

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.004, 0.02, 0.1, 1.0, 6.0]))
    def run(self, seconds: float) -> None:
        self.net.run(self.net.now + seconds)

    @rule(end=st.sampled_from(ENDS))
    def step(self, end: str) -> None:
        self.net.request_step(end)

    @precondition(lambda self: len(self.works()) > 1)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        """Both directions end at once; what is on its way is lost."""
        path = data.draw(st.sampled_from(self.works()))
        self.harmed.add(path)
        self.net.wires[path].hand = lambda who, n, frame: None

    @precondition(lambda self: len(self.works()) > 1)
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        """A path swallows what is sent, and may deliver it much later: records come in any order over the paths."""
        self.net.wires[data.draw(st.sampled_from(self.works()))].blackhole = True

    @rule()
    def release(self) -> None:
        for path, wire in self.net.wires.items():
            if wire.blackhole:
                self.net.come_back(path)

    @precondition(lambda self: len(self.works()) > 1)
    @rule(data=st.data(), place=st.sampled_from([0, 3, 4, 5, 11, 12, -1]))
    def flip(self, data: st.DataObject, place: int) -> None:
        """One byte of the next frame on a path is changed."""
        path = data.draw(st.sampled_from(self.works()))
        self.harmed.add(path)
        wire = self.net.wires[path]

        def change(who: str, number: int, frame: bytes) -> list[bytes]:
            wire.hand = lambda who, n, frame: [frame]
            changed = bytearray(frame)
            changed[place] ^= 0x41
            return [bytes(changed)]

        wire.hand = change

    @precondition(lambda self: len(self.net.client.paths) < MAXIMUM_PATHS - 1 and self.number < 200)
    @rule(delay=st.sampled_from(DELAYS))
    def join(self, delay: float) -> None:
        """As the client and the edge do it: the client names the steps that it knows, until the edge takes one."""
        net, number = self.net, self.number
        if not all(end.can_add_path(number) for end in net.ends.values()):
            return
        for step in net.client.join_steps:
            if step == net.server.step:
                net.join(number, Wire(delay), bytes([number]) * 32, step=step)
                self.number += 1
                return

    @invariant()
    def nothing_is_out_of_order(self) -> None:
        if not hasattr(self, "net"):
            return
        net = self.net
        for name, other in (ENDS, ENDS[::-1]):
            received = net.received(name)
            assert received == STREAM[: len(received)]
            assert len(received) <= self.written[other]
            assert not net.kinds(name, SessionFailed), net.kinds(name, SessionFailed)
        steps = (net.client.step, net.server.step)
        assert all(now >= before for now, before in zip(steps, self.steps_before, strict=True))
        assert 0 <= steps[1] - steps[0] <= 1, "the edge goes over first, by one step at most"
        self.steps_before = steps
        for end in net.ends.values():
            for path in end._paths.open.values():
                assert end.step - path.opener.step <= 1
                assert path.sealer.step == end.step

    def teardown(self) -> None:
        """What was begun comes to its end: a step that is asked for is made, and everything arrives."""
        if not hasattr(self, "net"):
            return
        net = self.net
        self.release()
        before = net.client.step
        net.request_step("client")
        net.run(net.now + STEP_INTERVAL + 3 * ATTEMPT_LIMIT)
        assert net.client.step == net.server.step > before
        for end in net.ends.values():
            end.end()
        net.run(net.now + 100)
        for name, other in (ENDS, ENDS[::-1]):
            assert len(net.received(name)) == self.written[other]
            assert net.kinds(name, SessionClosed)
        self.nothing_is_out_of_order()


StepMachine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
test_steps_at_any_moment_lose_nothing = StepMachine.TestCase
