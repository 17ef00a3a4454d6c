"""All of horizontal scaling on real nodes: the four strategies, capacity under a race, failover
when a node is killed, nodes of different capabilities, and what is remembered across a restart.

Also a script, `python tests/test_horizontal_scaling.py`, that prints what it sees.
"""

import json
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fixwurx_celery import BalancingStrategy
from tests.support.scaling_story import Story, script, story

Say = Callable[[str], object]


def test_horizontal_scaling(say: Say) -> None:
    with tempfile.TemporaryDirectory(prefix="kept") as folder:
        state_path = Path(folder) / "scaling_state.json"
        with story(
            say,
            min_workers=3,
            max_workers=5,
            state_path=state_path,
            FIXWURX_NODE_SPECS="9:python 6:gpu,python",
        ) as it:
            say(f"started: {it.picture()}")
            assert it.nodes() == 3
            balances_by_each_strategy(it)
            never_gives_an_agent_twice(it)
            goes_on_when_a_node_is_killed(it)
            starts_nodes_with_what_bugs_require(it)
        kept = scaling_of(state_path)
        say(f"kept in {state_path.name}: {', '.join(sorted(kept))}")

        with story(say, min_workers=1, max_workers=5, state_path=state_path) as it:
            say(f"started again: {it.picture()}")
            assert it.nodes() == 1, "what was launched in the life before is known to have ended"
        again = scaling_of(state_path)
        assert again["config"]["cluster"] == kept["config"]["cluster"]
        assert again["boots"][1:] == kept["boots"], "it remembers how long nodes boot"


def balances_by_each_strategy(it: Story) -> None:
    """Six bugs for three equal nodes; all four strategies keep within capacity, three spread
    evenly, and the balancer counts them."""
    for strategy in BalancingStrategy:
        it.balancer.set_balancing_strategy(strategy)
        tasks = [f"{strategy.lower()}-{n}" for n in range(6)]
        placed = {task: it.balancer.select_worker(task, ["python"]) for task in tasks}
        spread = Counter(placed.values())
        it.say(f"{strategy}: {dict(spread)}")
        assert None not in spread, "there is room for nine"
        assert max(spread.values()) <= 3
        if strategy is not BalancingStrategy.RANDOM:
            assert sorted(spread.values()) == [2, 2, 2]
        metrics = {one["worker_id"]: one for one in it.balancer.get_worker_metrics()}
        assert {node: metrics[node]["current_load"] for node in spread} == {
            node: 3 * count for node, count in spread.items()
        }
        assert it.balancer.get_balancer_metrics()["strategy"] == strategy
        for node, count in spread.items():
            for _ in range(count):
                assert it.balancer.release_worker(str(node))
    assert it.manager.free == it.manager.total_agents == 27
    it.balancer.set_balancing_strategy(BalancingStrategy.WEIGHTED_CAPACITY)


def never_gives_an_agent_twice(it: Story) -> None:
    """Twelve threads want forty bugs each where there is room for nine: exactly nine get it."""
    got: list[str] = []

    def want(number: int) -> None:
        got.extend(bug for n in range(40) if it.manager.allocate(bug := f"race-{number}-{n}"))

    threads = [threading.Thread(target=want, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    it.say(f"12 threads wanted 480 bugs: {len(got)} were allocated, {it.picture()}")
    nodes = it.coordinator.workers.values()
    capacity = sum(node.total_agents for node in nodes) // 3
    assert 9 <= len(got) <= capacity, "nine, and what nodes that came meanwhile have"
    assert sorted(it.manager.bug_assignments) == sorted(got)
    assert all(sum(node.bugs.values()) + node.free_agents == node.total_agents for node in nodes)
    for bug in got:
        assert it.manager.free_agents(bug)


def goes_on_when_a_node_is_killed(it: Story) -> None:
    """The bugs of a node that is killed run elsewhere, from where they were."""
    bugs = it.enqueue(6)
    store = it.manager.connection.store

    def past_first_step() -> bool:
        return [record.phase for record in store.bugs(bugs)] == ["REPRO"] * 6

    it.comes_true("six bugs run, and are past their first step", past_first_step)
    victim = it.running()[bugs[0]]
    struck = [bug for bug, node in it.running().items() if node == victim]
    it.process_of(victim).kill()
    it.say(f"{victim} is killed while it runs {', '.join(struck)}")

    def moved() -> bool:
        running: dict[str, Any] = it.running()
        records = store.bugs(struck)
        return len(running) == 6 and all(record.losses == 1 for record in records)

    it.comes_true("all six run again", moved)
    it.let_end(*bugs)
    it.comes_true("all have ended", lambda: not it.running())
    records = store.bugs(bugs)
    assert [str(record.state) for record in records] == ["DONE"] * 6
    assert {record.id for record in records if record.losses} == set(struck)
    assert all(record.outcome["resumed_after"] == 1 for record in records if record.losses), (
        "the step that was done was not done again"
    )
    it.comes_true("a node came in its place", lambda: it.nodes() >= 3)


def starts_nodes_with_what_bugs_require(it: Story) -> None:
    """A bug for which no node is there has one started that can run it, and runs on it."""
    bugs = it.enqueue(1, requires=frozenset({"gpu"}), agents=6)
    it.comes_true("the bug runs", lambda: it.running())
    node = it.coordinator.workers[it.running()[bugs[0]]]
    it.say(f"{bugs[0]} runs on {node.worker_id}, which has {', '.join(sorted(node.capabilities))}")
    assert node.capabilities == {"gpu", "python"}
    assert node.total_agents == 6
    assert it.balancer.select_worker("another", ["gpu"]) is None, "its agents are taken"
    it.let_end(*bugs)
    it.comes_true("it has ended", lambda: not it.running())


def scaling_of(path: Path) -> dict[str, Any]:
    """What the file keeps of scaling."""
    kept: dict[str, Any] = json.loads(path.read_text())["scaling"]
    return kept


if __name__ == "__main__":
    script(test_horizontal_scaling)
