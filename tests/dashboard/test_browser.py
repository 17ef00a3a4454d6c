"""The page in Chromium: it shows what is in the store, and does what its buttons say."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import BalancingStrategy, WorkerState
from fixwurx_celery.domain.scaling import ClusterView
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.scaling_state import ScalingState
from tests.dashboard.conftest import LOGIN
from tests.support import cluster
from tests.support.browser import Page, chromium, page_of
from tests.support.flower import Flower, flower
from tests.support.live_cluster import LiveCluster
from tests.support.server import Server, start_server
from tests.support.shown_cluster import ShownCluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    with page_of(browser, login=LOGIN) as opened:
        yield opened


def seen(store: ClusterStore, life: cluster.Life) -> Any:
    return next(one for one in store.snapshot().nodes if one.worker_id == life.node)


def bugs_of(drawn: dict[str, Any], life: cluster.Life) -> dict[str, Any]:
    """The bugs that the page shows on the node, which may not be there yet."""
    found: dict[str, Any] = drawn["nodes"].get(life.node, {}).get("bugs", {})
    return found


# -- the page equals the store -------------------------------------------------------------------

SAID = {"READY": "ready", "BUSY": "busy", "STOPPING": "draining", "STARTING": "starting"}


def in_store(store: ClusterStore) -> dict[str, Any]:
    """What the page must show, by another way than the page's."""
    snapshot = store.snapshot()
    nodes: dict[str, Any] = {}
    for node in snapshot.live:
        records = {record.id: record for record in store.bugs(list(node.bugs))}
        nodes[node.worker_id] = {
            "state": SAID[str(node.state)],
            "free": node.free_agents,
            "bugs": {
                bug: [
                    agents,
                    records[bug].phase.lower()
                    if records[bug].state is BugState.RUNNING
                    else "not started",
                ]
                for bug, agents in node.bugs.items()
            },
        }
    ended = store.bugs([bug for bug, _ in store.ended()])
    return {
        "nodes": nodes,
        "gone": [n.worker_id for n in snapshot.nodes if n.state is WorkerState.OFFLINE],
        "lines": sorted(
            [line["class"], f"{int(line['waiting']):,}", line["head"]] for line in snapshot.lines
        ),
        "ended": [
            [record.id, record.outcome["outcome"], record.worker_id, str(record.runs)]
            for record in ended
        ],
        "totals": {
            "Agents at work": str(snapshot.total_agents - snapshot.free_agents),
            "Bugs on nodes": str(sum(len(node.bugs) for node in snapshot.live)),
            "Bugs waiting": str(snapshot.waiting),
            "Nodes in service": str(len(snapshot.live)),
            "Bugs done": str(snapshot.stats.get("DONE", 0)),
        },
        "strategy": str(snapshot.strategy),
    }


def on_page(page: Page) -> dict[str, Any]:
    drawn = page.drawn()
    needs = {"3 agents": "3|", "1 agent": "1|", "6 agents": "6|"}
    return {
        "nodes": drawn["nodes"],
        "gone": drawn["gone"],
        "lines": sorted([needs[need], *rest] for need, *rest in drawn["lines"]),
        "ended": [[bug, outcome, node, runs.partition(",")[0]]
                  for bug, outcome, _, node, runs, _ in drawn["ended"]],
        "totals": drawn["totals"],
        "strategy": drawn["strategy"],
    }  # fmt: skip


def equal(page: Page, store: ClusterStore, within_s: float = 10) -> dict[str, Any]:
    """What both have, once the page has what the store has. While bugs run on, the store is asked
    before and after: what did not change in between must be on the page."""
    last: dict[str, Any] = {}

    def look() -> dict[str, Any] | None:
        before = in_store(store)
        shown = on_page(page)
        after = in_store(store)
        last.update(shown=shown, store=after)
        return shown if before == after and shown == before else None

    try:
        return wait_until("the page equals the store", look, within_s=within_s)
    except AssertionError:
        assert last["shown"] == last["store"]
        raise


def test_the_page_equals_the_store_while_bugs_run_and_a_node_is_killed(
    browser: Any, redis_url: str, tmp_path: Path
) -> None:
    live = LiveCluster(tmp_path, redis_url=redis_url, total_agents=6)
    gates = [tmp_path / f"gate{i}" for i in range(6)]
    with live.node("node1@here") as doomed, live.node("node2@here"), flower(
        live.settings, tmp_path, login=LOGIN
    ) as started, page_of(browser, login=LOGIN) as page:  # fmt: skip
        page.open(started)
        idle = equal(page, live.store)

        bugs = [
            live.submit({"phase": "REPRO"}, {"phase": "PATCH", "until": str(gate)}, agents=3)
            for gate in gates
        ]
        for bug in bugs[:4]:
            wait_until(
                f"{bug} told its phase", lambda bug=bug: live.store.bug(bug).phase == "REPRO",
                within_s=30,
            )  # fmt: skip
        busy = equal(page, live.store)

        doomed.kill()
        wait_until("node1 is lost", lambda: len(live.store.snapshot().live) == 1)
        wait_until(
            "node2 runs two of them",
            lambda: [r.state for r in live.store.bugs(bugs)].count(BugState.RUNNING) == 2,
        )
        lost = equal(page, live.store)

        for gate in gates:
            gate.touch()
        for bug in bugs:
            live.wait(bug, 60)
        done = equal(page, live.store)

    assert set(idle["nodes"]) == {"node1@here", "node2@here"}
    assert busy["totals"]["Agents at work"] == "12"
    assert busy["lines"] == [["3|", "2", bugs[4]]]
    assert {phase for node in busy["nodes"].values() for _, phase in node["bugs"].values()} == {
        "repro"
    }
    assert set(lost["nodes"]) == {"node2@here"}
    assert lost["gone"] == ["node1@here"]
    assert lost["lines"][0][1] == "4"
    assert len(done["ended"]) == 6
    assert done["totals"]["Bugs done"] == "6"
    live.close()


def test_what_changes_is_on_the_page_within_two_seconds(
    page: Page, guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    page.open(guarded)

    for _ in range(3):
        for strategy in (BalancingStrategy.RANDOM, BalancingStrategy.WEIGHTED_CAPACITY):
            shown_store.set_strategy(strategy)
            page.shows(
                f"the page shows {strategy}",
                lambda drawn, strategy=strategy: drawn["strategy"] == strategy,
                within_s=2,
            )


def test_what_others_wrote_is_text(
    page: Page, guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    nasty = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    first, second = cluster.running(
        shown_store, node, cluster.bug("nasty-1"), cluster.bug("nasty-2")
    )
    shown_store.report(
        second.bug, second.node, second.incarnation, second.epoch, second.runner, phase=nasty
    )
    shown_store.finish(
        first.bug, first.node, first.incarnation, first.epoch, first.runner, BugState.DONE,
        {"outcome": nasty, "reason": nasty},
    )  # fmt: skip
    page.open(guarded)

    drawn = page.shows(
        "the outcome is there", lambda drawn: drawn["ended"] and drawn["ended"][0][0] == "nasty-1"
    )
    images = page.page.evaluate("document.querySelectorAll('main img').length")
    cluster.finish(shown_store, second)

    assert drawn["ended"][0][1:3] == [nasty, nasty]
    assert drawn["nodes"][node.node]["bugs"]["nasty-2"] == [3, nasty.lower()]
    assert images == 0  # and page_of finds that no dialog opened, and the browser blocked nothing


def test_long_words_push_nothing_away(
    page: Page, guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    first, second = cluster.running(
        shown_store, node, cluster.bug("b" * 128), cluster.bug("b-long-phase")
    )
    shown_store.report(
        second.bug, second.node, second.incarnation, second.epoch, second.runner, phase="P" * 80
    )
    shown_store.finish(
        first.bug, first.node, first.incarnation, first.epoch, first.runner, BugState.DONE,
        {"outcome": "X" * 90, "reason": "two words " * 30},
    )  # fmt: skip
    page.open(guarded)
    page.shows("the outcome is there", lambda drawn: drawn["ended"])
    page.shows("the bug is there", lambda drawn: "b-long-phase" in bugs_of(drawn, node))

    since = page.page.locator(".bug", has_text="b-long-phase").locator(".since")
    wide = {}
    for width in (1280, 1000, 800, 375):
        page.page.set_viewport_size({"width": width, "height": 800})
        wide[width] = page.page.evaluate("document.documentElement.scrollWidth")
    page.page.set_viewport_size({"width": 1280, "height": 800})
    reason = page.page.locator("#ended .words").first.bounding_box()
    seen = page.page.evaluate(
        "(e) => e.getBoundingClientRect().right <= e.parentElement.getBoundingClientRect().right",
        since.element_handle(),
    )
    cluster.finish(shown_store, second)

    assert wide == {1280: 1280, 1000: 1000, 800: 800, 375: 375}
    assert reason["width"] > 200
    assert seen


def test_what_is_apart_from_the_rest_is_said_at_the_top(
    page: Page, guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    page.open(guarded)
    place = page.page.locator("#in-service-of")

    wait_until("a node that is not heard is counted", lambda: place.text_content() == "1 silent")
    is_marked = place.evaluate("(e) => e.classList.contains('late')")
    shown_store.drain(node.node, 60)
    wait_until("and that it drains", lambda: place.text_content() == "1 silent, 1 draining")
    page.page.get_by_role("link", name="Bugs done").press("Enter")
    focused = page.page.evaluate("document.activeElement.id")

    assert is_marked
    assert focused == "ended-title"


def test_the_focus_stays_on_a_bug_that_moves_in_its_card(
    page: Page, guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    bugs = [cluster.bug(name) for name in ("b-1", "b-2", "b-3")]
    _, given = shown_store.submit(bugs)
    by_bug = {one.bug_id: one for one in given}
    page.open(guarded)
    page.shows("all are there", lambda drawn: len(bugs_of(drawn, node)) == 3)
    page.page.locator(".bug", has_text="b-2").focus()

    cluster.start(shown_store, by_bug["b-1"], node)  # its time begins anew: it comes last
    wait_until(
        "it is the last", lambda: page.page.locator(".bug-id").all_text_contents()[-1] == "b-1"
    )

    assert "b-2" in page.page.evaluate("document.activeElement.textContent")


def test_shown_compactly_a_bug_is_a_letter_that_says_all_to_who_cannot_see_it(
    page: Page, guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    (run,) = cluster.running(shown_store, node, cluster.bug("b-brief"))
    shown_store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner, phase="VERIFY")
    page.open(guarded)
    page.page.locator("#density").click()
    cell = page.page.get_by_role("button", name="b-brief: verify, 3 agents")

    letter = cell.text_content()
    cell.click()
    facts = page.page.locator("#bug-facts").text_content()
    page.page.locator("#bug-close").click()
    page.page.locator("#density").click()
    words = cell.text_content()
    cluster.finish(shown_store, run)

    assert letter == "V"
    assert "Its phase: verify." in facts
    assert words.startswith("b-briefverify")


# -- doing ---------------------------------------------------------------------------------------


def test_a_node_is_drained_and_had_back_by_the_keyboard_alone(
    page: Page, guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    page.open(guarded)
    page.shows("the node is there", lambda drawn: node.node in drawn["nodes"])
    button = page.page.get_by_role("button", name=f"Drain {node.node}")
    keys = page.page.keyboard

    button.focus()
    keys.press("Enter")
    asked = page.page.locator("#ask").text_content()
    keys.press("Escape")
    kept = seen(shown_store, node).state
    focused = page.page.evaluate("document.activeElement.getAttribute('aria-label')")
    keys.press("Enter")
    keys.press("Tab")  # from Cancel, where it begins, to Drain
    keys.press("Enter")
    wait_until("it drains", lambda: seen(shown_store, node).state is WorkerState.STOPPING)
    drawn = page.shows(
        "the page shows it", lambda drawn: drawn["nodes"][node.node]["state"] == "draining"
    )
    said = page.page.locator("#said").text_content()
    page.page.get_by_role("button", name=f"Resume {node.node}").click()
    page.page.locator("#ask-yes").click()
    wait_until("it serves again", lambda: seen(shown_store, node).state is WorkerState.READY)
    page.shows("the page shows it", lambda drawn: drawn["nodes"][node.node]["state"] == "ready")

    assert f"Drain {node.node}?" in asked
    assert "It holds none now." in asked
    assert kept is WorkerState.READY
    assert focused == f"Drain {node.node}"
    assert drawn["nodes"][node.node]["free"] == 9
    assert said == f"{node.node} takes no more bugs; it runs none"


def test_a_node_that_is_shown_compactly_can_be_drained_too(
    page: Page, guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    page.open(guarded)
    page.shows("the node is there", lambda drawn: node.node in drawn["nodes"])
    page.page.locator("#density").click()

    shown = page.page.get_by_role("button", name=f"Drain {node.node}").is_visible()
    page.page.get_by_role("button", name=node.node, exact=True).click()
    facts = page.page.locator("#node-facts").inner_text()
    page.page.locator("#node-act").click()
    page.page.locator("#ask-yes").click()
    wait_until("it drains", lambda: seen(shown_store, node).state is WorkerState.STOPPING)

    assert not shown
    assert "9 free of 9" in facts
    assert "python" in facts


def test_the_strategy_is_changed_after_it_was_asked_back(
    page: Page, guarded: Flower, shown_store: ClusterStore
) -> None:
    page.open(guarded)
    select = page.page.locator("#strategy")

    select.select_option("RANDOM")
    page.page.locator("#strategy-set").click()
    page.page.locator("#ask button[value=no]").click()
    kept = (shown_store.strategy(), select.input_value())
    select.select_option("LEAST_CONNECTIONS")
    told = page.page.locator("#strategy-takes").text_content()
    page.page.locator("#strategy-set").click()
    page.page.locator("#ask-yes").click()
    wait_until(
        "it is changed", lambda: shown_store.strategy() is BalancingStrategy.LEAST_CONNECTIONS
    )
    shown_store.set_strategy(BalancingStrategy.WEIGHTED_CAPACITY)

    assert kept == (BalancingStrategy.WEIGHTED_CAPACITY, "WEIGHTED_CAPACITY")
    assert told == "takes the node with the fewest bugs"


def test_a_choice_that_is_being_made_is_not_undone_by_the_next_picture(
    page: Page, guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    page.open(guarded)
    # Not the one of the test before, which the last picture may still have.
    page.shows("the strategy", lambda drawn: drawn["strategy"] == "WEIGHTED_CAPACITY")
    page.page.locator("#strategy").select_option("RANDOM")
    cluster.running(shown_store, node, cluster.bug("b-meanwhile"))

    page.shows("another picture came", lambda drawn: "b-meanwhile" in bugs_of(drawn, node))

    assert page.drawn()["strategy"] == "RANDOM"


def test_a_bug_on_a_node_can_be_looked_at_and_its_log_read(
    page: Page, guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    (run,) = cluster.running(shown_store, node, cluster.bug("b-looked-at"))
    shown_store.report(
        run.bug, run.node, run.incarnation, run.epoch, run.runner, phase="VERIFY", log="so far\n"
    )
    page.open(guarded)
    page.shows("the bug is there", lambda drawn: "b-looked-at" in bugs_of(drawn, node))

    page.page.get_by_role("button", name="b-looked-at").click()
    facts = page.page.locator("#bug-facts").text_content()
    with page.page.expect_popup() as opened:
        page.page.locator("#bug-log").click()
    log = opened.value.locator("body").text_content()
    cluster.finish(shown_store, run)
    wait_until(
        "the dialog says that it ended",
        lambda: page.page.locator("#bug-facts").text_content() == f"It is no more on {node.node}.",
    )

    assert re.fullmatch(rf"Runs on {node.node} with 3 agents, for \d+ s. Its phase: verify.", facts)
    assert log == "so far\n"


def test_decisions_are_in_the_chart_and_in_words(
    page: Page, guarded: Flower, shown_store: ClusterStore
) -> None:
    ShownCluster(shown_store).decide(0.9, 5)
    decisions = ScalingState(shown_store).decisions(1000)
    changes = [one for one in decisions if one.action != "hold"]
    page.open(guarded)
    chart = page.page.locator("#chart")
    wait_until("the chart is drawn", lambda: chart.locator(".capacity").count() == 1)

    rows = page.page.evaluate(
        "[...document.querySelectorAll('#changes > tr')].map((r) => r.lastElementChild.textContent)"
    )
    marks = chart.locator(".mark").count()
    chart.focus()
    page.page.keyboard.press("Home")
    first = chart.get_attribute("aria-valuetext")
    page.page.keyboard.press("End")
    last = chart.get_attribute("aria-valuetext")

    told = ClusterView.from_dict(decisions[-1].told["view"])
    assert len(changes) > 4
    assert rows == [one.reason for one in changes]
    assert marks == len(changes)
    assert first.endswith(
        f": {told.held_agents} of {told.total_agents} agents at work, "
        f"{told.waiting_agents} more asked for"
    )
    assert last.startswith("now: ")


def test_nodes_and_bugs_are_found(
    page: Page, guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    other, _ = cluster.node(shown_store, "other@there", 9, ["gpu"])
    cluster.running(shown_store, node, cluster.bug("b-needle", requires=["python"]))
    page.open(guarded)
    page.shows("both are there", lambda drawn: {node.node, "other@there"} <= set(drawn["nodes"]))

    found: dict[str, set[str]] = {}
    for wanted in ("NEEDLE", "gpu", "nowhere", ""):
        page.page.locator("#filter").fill(wanted)
        found[wanted] = set(page.drawn()["nodes"])
    shown_store.retire(other.node, other.incarnation)

    assert found == {
        "NEEDLE": {node.node}, "gpu": {"other@there"}, "nowhere": set(),
        "": {node.node, "other@there"},
    }  # fmt: skip


# -- when nobody looks, and when things break ----------------------------------------------------


def test_a_page_that_nobody_sees_asks_nothing(page: Page, guarded: Flower) -> None:
    page.open(guarded)
    asked: list[str] = []
    page.page.on("request", lambda request: asked.append(request.url))
    hide = """(is) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => is });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""

    page.page.evaluate(hide, True)
    page.becomes("hidden")
    page.page.wait_for_timeout(300)  # for the one that was under way
    asked.clear()
    page.page.wait_for_timeout(2500)
    while_hidden = list(asked)
    page.page.evaluate(hide, False)
    page.becomes("live")

    assert while_hidden == []
    assert asked


def test_who_is_logged_out_is_told_so_and_how_to_come_back(
    browser: Any, shown: Settings, folder: Path
) -> None:
    from tornado.web import create_signed_value

    with flower(
        shown, folder, "--auth=.*@example.com", "--cookie_secret=sooo-secret",
        "--auth_provider=flower.views.auth.GithubLoginHandler",
    ) as started, page_of(browser) as page:  # fmt: skip
        value = create_signed_value("sooo-secret", "user", "me@example.com").decode()
        cookie = {"name": "user", "value": value, "url": started.address}
        page.page.context.add_cookies([cookie])
        page.open(started)
        page.page.context.clear_cookies()
        page.becomes("login")
        told = page.drawn()["trouble"]
        way_back = page.page.get_by_role("link", name="Log in again").get_attribute("href")
        page.page.context.add_cookies([cookie])
        page.becomes("live")
        page.complaints[:] = [said for said in page.complaints if "status of 401" not in said]

    assert "You are logged out." in told
    assert way_back == "/cluster"


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    with start_server(tmp_path / "server", append_only=True) as server:
        yield server


def test_while_the_store_is_away_the_page_says_so_and_then_goes_on_by_itself(
    browser: Any, own_server: Server, tmp_path: Path
) -> None:
    settings = Settings(redis_url=own_server.url, heartbeat_timeout_sec=600)
    store = ClusterStore.from_settings(settings)
    cluster.node(store, "node1@here")
    with flower(settings, tmp_path, login=LOGIN) as started, page_of(
        browser, login=LOGIN
    ) as page:  # fmt: skip
        page.open(started)
        before = page.shows("the node is there", lambda drawn: drawn["nodes"])
        own_server.kill()
        page.becomes("store")
        away = page.drawn()
        grey = page.page.evaluate("getComputedStyle(document.getElementById('picture')).filter")
        is_there = page.page.get_by_role("button", name="Drain node1@here").is_visible()
        own_server.start()
        page.becomes("live")
        cluster.node(store, "node2@here")
        after = page.shows("the other is there", lambda drawn: len(drawn["nodes"]) == 2)
    store.close()

    assert away["nodes"] == before["nodes"]
    assert "The store does not answer." in away["trouble"]
    assert "cannot reach the store" in away["trouble"]
    assert re.search(r"What is shown is \d+ s old", away["trouble"])
    assert grey == "grayscale(1)"
    assert not is_there
    assert after["trouble"] == ""


def test_when_flower_restarts_the_page_goes_on_by_itself(
    browser: Any, shown: Settings, folder: Path, node: cluster.Life
) -> None:
    with page_of(browser, login=LOGIN) as page:
        with flower(shown, folder, login=LOGIN) as started:
            page.open(started)
            before = page.shows("the node is there", lambda drawn: node.node in drawn["nodes"])
        page.becomes("away")
        away = page.drawn()
        with flower(shown, folder, login=LOGIN, port=started.port):
            page.becomes("live")
            after = page.drawn()
            page.page.goto("about:blank")  # so that it does not miss this one, too
        page.complaints[:] = [said for said in page.complaints if "net::ERR_" not in said]

    assert away["nodes"] == before["nodes"]
    assert "Flower does not answer." in away["trouble"]
    assert after["nodes"] == before["nodes"]


# -- where it is shown ---------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_theme(browser: Any, guarded: Flower, scheme: str) -> None:
    with page_of(browser, login=LOGIN, scheme=scheme) as page:
        page.open(guarded)
        background = page.page.evaluate("getComputedStyle(document.body).backgroundColor")

    brightness = sum(int(part) for part in re.findall(r"\d+", background)[:3])
    assert brightness > 600 if scheme == "light" else brightness < 150


def test_below_a_prefix_the_page_works(browser: Any, local: Flower, node: cluster.Life) -> None:
    with page_of(browser) as page:
        page.open(local, "/fw/flower")
        drawn = page.shows("the node is there", lambda drawn: node.node in drawn["nodes"])
        buttons = page.page.get_by_role("button", name=f"Drain {node.node}").count()

    assert drawn["nodes"][node.node]["free"] == 9
    assert buttons == 0  # without a login nothing can be done, and nothing is offered
