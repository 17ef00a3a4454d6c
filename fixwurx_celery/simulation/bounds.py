"""What no scaler can beat, were it to know the whole trace beforehand.

`work_bound_s`: the agent-seconds of all bugs over the agents of a node. A node offers no more
agent-seconds in a second than it has agents, and every bug takes its own, whenever it runs and on
whichever node; so no schedule whatsoever takes fewer node-seconds.

`no_wait_bound_s`: what it takes to start every bug the instant it comes. At every instant there
must be as many ready nodes as the agents at work fill, N(t) = ⌈running(t) ÷ agents⌉; so for every
k, the times at which k nodes or more are ready cover those with N(t) ≥ k. A gap between these is
either bridged, at the cost of the gap, or ends with a node becoming ready, which was paid for while
it started: the cheaper of the two, gap by gap and k by k, is a lower bound for every schedule in
which nothing waits. One in which bugs wait may fall below it.
"""

from collections.abc import Sequence

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.simulation.trace import Trace

__all__ = ["mean_nodes", "no_wait_bound_s", "peak_nodes", "work_bound_s"]


def work_bound_s(trace: Trace, spec: NodeSpec) -> float:
    """Node-seconds that no schedule goes below."""
    return trace.work_s / spec.agents


def no_wait_bound_s(trace: Trace, spec: NodeSpec, boot_s: float) -> float:
    """Node-seconds that no schedule goes below in which every bug starts as it comes."""
    total = 0.0
    began: list[float] = []  # when level k was last entered
    left: dict[int, float] = {}  # when level k was last left
    for at_s, nodes in _nodes_in_use(trace, spec):
        while len(began) < nodes:
            gap = at_s - left[len(began)] if len(began) in left else boot_s
            total += min(gap, boot_s)
            began.append(at_s)
        while len(began) > nodes:
            total += at_s - began.pop()
            left[len(began)] = at_s
    return total


def peak_nodes(trace: Trace, spec: NodeSpec) -> int:
    """Nodes in use at most, when every bug starts as it comes."""
    return max(nodes for _, nodes in _nodes_in_use(trace, spec))


def mean_nodes(trace: Trace, spec: NodeSpec) -> float:
    """Nodes in use on average, were they always full."""
    return work_bound_s(trace, spec) / trace.length_s


def _nodes_in_use(trace: Trace, spec: NodeSpec) -> Sequence[tuple[float, int]]:
    steps = sorted(
        [(one.at_s, one.agents) for one in trace.arrivals]
        + [(one.at_s + one.duration_s * (1 + one.repeats), -one.agents) for one in trace.arrivals]
    )  # of one instant, ends first
    agents, found = 0, []
    for at_s, step in steps:
        agents += step
        found.append((at_s, -(-agents // spec.agents)))
    return found
