"""The page in a real Flower: where it is, who gets it, and what may be done from it."""

import re
import stat
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import BalancingStrategy, WorkerState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support import cluster
from tests.support.flower import OURS, Flower, flower, refused
from tests.support.live_cluster import LiveCluster
from tests.support.server import free_port, start_server
from tests.support.surroundings import ROOT
from tests.support.waiting import wait_until

pytest.importorskip("flower")

OUR_PAGES = (
    "/cluster",
    "/api/fixwurx/cluster",
    "/api/fixwurx/log?bug=b",
    "/api/fixwurx/patch?bug=b",
)
ACTIONS = ("drain", "resume", "strategy")
PREFIX = "/fw/flower"


def seen(store: ClusterStore, life: cluster.Life) -> Any:
    return next(one for one in store.snapshot().nodes if one.worker_id == life.node)


def ended(store: ClusterStore, life: cluster.Life, outcome: Any, log: str = "") -> str:
    """A bug that ran on the node and ended so."""
    (run,) = cluster.running(store, life, cluster.bug(f"b-{uuid.uuid4().hex[:8]}"))
    if log:
        store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner, log=log)
    store.finish(run.bug, run.node, run.incarnation, run.epoch, run.runner, BugState.DONE, outcome)
    return run.bug


# -- where it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/workers", "/tasks", "/broker", "/cluster"])
def test_every_page_has_the_tab(guarded: Flower, path: str) -> None:
    page = guarded.ask(path)

    assert page.status == 200
    links = re.findall(r'<a class="nav-link([^"]*)"\s+href="([^"]*)"[^>]*>(\w+)</a>', page.text)
    assert [(href, name) for _, href, name in links] == [
        ("/workers", "Workers"), ("/tasks", "Tasks"), ("/broker", "Broker"), ("/cluster", "Cluster")
    ]  # fmt: skip
    assert [name for active, _, name in links if active and name == "Cluster"] == (
        ["Cluster"] if path == "/cluster" else []
    )


def test_below_a_prefix_every_address_has_it(local: Flower) -> None:
    page = local.ask(f"{PREFIX}/cluster").text

    found = re.findall(r'(?:href|src|data-[a-z]+)="(/[^"]*)"', page)
    assert len(found) > 10
    assert [address for address in found if not address.startswith(f"{PREFIX}/")] == []
    assert local.ask("/cluster").status == 404
    for address in found:
        # Without a bug, a body or a login these refuse, but they are there.
        assert local.ask(address).status in (200, 400, 403, 405), address


def test_our_launcher_gives_the_same_page(shown: Settings, folder: Path) -> None:
    with flower(shown, folder, command=OURS) as started:
        page, picture = started.ask("/cluster"), started.picture()

    assert page.status == 200
    assert '<main id="main-content" class="cluster"' in page.text
    assert picture["totals"]["strategy"] == "WEIGHTED_CAPACITY"


def test_nothing_on_the_page_comes_from_elsewhere_or_is_written_in_it(guarded: Flower) -> None:
    page = guarded.ask("/cluster")

    assert page.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", page.text) == []
    loaded = re.findall(r'(?:src|<link[^>]*href)="([^"]*)"', page.text)
    assert [address for address in loaded if not address.startswith("/")] == []


def test_the_scripts_write_no_html() -> None:
    static = ROOT / "fixwurx_celery" / "dashboard" / "static"
    scripts = sorted(static.glob("*.js"))

    assert len(scripts) > 5
    for script in scripts:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|DOMParser|https?://(?!www\.w3\.org/2000/svg)",
            script.read_text(),
        ), script.name


# -- who gets it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*OUR_PAGES, "/metrics", "/healthcheck", "/workers"])
@pytest.mark.parametrize("login", ["", "me:wrong", "you:pass:word"])
def test_without_the_login_there_is_nothing(guarded: Flower, path: str, login: str) -> None:
    answer = guarded.ask(path, login=login, **({} if login else {"Authorization": ""}))

    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic")


def test_a_page_that_asks_on_by_itself_gets_no_password_prompt(guarded: Flower) -> None:
    answer = guarded.ask(
        "/api/fixwurx/cluster", login="me:wrong", X_Requested_With="XMLHttpRequest"
    )

    assert answer.status == 401
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("what", ACTIONS)
def test_without_the_login_nothing_can_be_done(
    guarded: Flower, what: str, node: cluster.Life, shown_store: ClusterStore
) -> None:
    token = guarded.open_page()
    headers = {"Content_Type": "application/json", "X_XSRFToken": token}

    answer = guarded.ask(
        f"/api/fixwurx/{what}", "POST", b'{"node": "%s"}' % node.node.encode(), login="me:wrong",
        **headers,
    )  # fmt: skip

    assert answer.status == 401
    assert seen(shown_store, node).state is WorkerState.READY


@pytest.mark.parametrize("path", [*OUR_PAGES, "/metrics", "/healthcheck"])
@pytest.mark.parametrize("sent", ["", "!!!", "w6k6w6k=", "/w==", "===="])
def test_what_is_no_login_is_none(guarded: Flower, path: str, sent: str) -> None:
    assert guarded.ask(path, login="", Authorization=f"Basic {sent}").status == 401


def test_a_login_that_was_set_to_nothing_is_refused(shown: Settings, folder: Path) -> None:
    ended = refused(shown, folder, "--address=0.0.0.0", FLOWER_BASIC_AUTH="")

    assert ended.returncode == 2
    assert "FLOWER_BASIC_AUTH) must be NAME:PASSWORD" in ended.stderr


def test_a_unix_socket_is_for_its_user_and_group(shown: Settings, tmp_path: Path) -> None:
    path = tmp_path / "flower.sock"
    with flower(shown, tmp_path, f"--unix_socket={path}") as started:
        mode = stat.S_IMODE(path.stat().st_mode)
        page = started.ask("/cluster", Host="flower.example")

    assert oct(mode) == "0o660"
    assert page.status == 200


@pytest.mark.parametrize("path", ["/metrics", "/healthcheck"])
def test_probes_have_a_token_of_their_own(guarded: Flower, path: str) -> None:
    assert guarded.ask(path, login="", Authorization="Bearer tok/en").status == 200
    assert guarded.ask(path, login="", Authorization="Bearer tok/em").status == 401
    assert guarded.ask(path).status == 200
    assert guarded.ask("/cluster", login="", Authorization="Bearer tok/en").status == 401


def test_without_a_login_probes_are_open_as_the_rest_is(local: Flower) -> None:
    assert local.ask(f"{PREFIX}/healthcheck").text == "OK"
    assert local.ask(f"{PREFIX}/metrics").status == 200


def test_a_token_for_probes_is_asked_for_also_without_a_login(
    shown: Settings, folder: Path
) -> None:
    with flower(shown, folder, FIXWURX_METRICS_TOKEN="token") as started:
        answers = [
            started.ask("/metrics", Authorization=said).status
            for said in ("", "Bearer tokem", "Bearer token")
        ]

    assert answers == [401, 401, 200]


def test_metrics_are_flowers_and_the_clusters(guarded: Flower, node: cluster.Life) -> None:
    series = f'fixwurx_node_agents{{node="{node.node}"}} 9.0'
    text = wait_until(
        "the node is measured",
        lambda: text if series in (text := guarded.ask("/metrics").text) else None,
    )

    assert "# TYPE flower_events_total counter" in text
    assert "fixwurx_up 1.0" in text


FLOWERS_PAGES = (
    "/",
    "/workers?json=1",
    "/tasks",
    "/broker",
    "/metrics",
    "/healthcheck",
    "/nothing",
)


@pytest.mark.parametrize("path", [*OUR_PAGES, *FLOWERS_PAGES])
def test_without_a_login_only_names_of_this_host_are_answered(local: Flower, path: str) -> None:
    refusal = local.ask(PREFIX + path, Host="evil.example:5555")

    assert refusal.status == 403
    assert local.ask(PREFIX + path, Host="localhost:5555").status != 403


@pytest.mark.parametrize("command", [("-m", "celery", "-A", "fixwurx_celery", "flower"), OURS],
                         ids=["celery", "ours"])  # fmt: skip
def test_an_open_door_is_refused(shown: Settings, folder: Path, command: tuple[str, ...]) -> None:
    ended = refused(shown, folder, "--address=0.0.0.0", command=command)

    assert ended.returncode == 2
    assert "Flower would listen on 0.0.0.0 without a login" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_open_door_is_refused_however_it_was_asked_for(shown: Settings, folder: Path) -> None:
    by_variable = refused(shown, folder, FLOWER_ADDRESS="0.0.0.0")
    (folder / "open.py").write_text("address = ''\n")
    by_file = refused(shown, folder, "--conf=open.py")

    assert "listen on 0.0.0.0 without a login" in by_variable.stderr
    assert "listen on every address of this host without a login" in by_file.stderr


def test_with_a_login_others_may_reach_it(shown: Settings, folder: Path) -> None:
    with flower(shown, folder, "--address=0.0.0.0", FLOWER_BASIC_AUTH="me:secret") as started:
        assert started.ask("/cluster").status == 401
        assert started.ask("/cluster", login="me:secret", Host="flower.example").status == 200


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--adress=0.0.0.0", "no option --adress. Did you mean --address?"),
        ("5555", "options only, written --name=value; not '5555'"),
    ],
)
def test_our_launcher_refuses_what_flower_would_pass_over(
    shown: Settings, folder: Path, option: str, said: str
) -> None:
    ended = refused(shown, folder, option, command=OURS)

    assert ended.returncode == 2
    assert said in ended.stderr


def test_with_oauth_browsers_are_sent_to_log_in_and_programs_are_told(
    shown: Settings, folder: Path
) -> None:
    from tornado.web import create_signed_value

    with flower(
        shown, folder, "--auth=.*@example.com", "--cookie_secret=sooo-secret",
        "--auth_provider=flower.views.auth.GithubLoginHandler", "--url_prefix=fl",
    ) as started:  # fmt: skip
        page = started.ask("/fl/cluster?a=1&b=2")
        api = started.ask("/fl/api/fixwurx/cluster")
        metrics = started.ask("/fl/metrics")
        for who in ("me@example.com", "me@evil.example"):
            started.cookies["user"] = create_signed_value("sooo-secret", "user", who).decode()
            known = [
                started.ask(path).status for path in ("/fl/cluster", "/fl/api/fixwurx/cluster")
            ]
            assert known == ([200, 200] if who == "me@example.com" else [302, 401])

    assert page.status == 302
    assert page.headers["location"] == "/fl/login?next=%2Ffl%2Fcluster%3Fa%3D1%26b%3D2"
    assert api.status == metrics.status == 401
    assert "www-authenticate" not in api.headers  # a browser would ask for a password


# -- what it shows -------------------------------------------------------------------------------


def test_the_picture_comes_whole_and_then_only_what_changed(
    guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    wait_for(guarded, lambda told: node.node in told["heartbeats"])
    first = guarded.ask("/api/fixwurx/cluster").json
    have = ",".join(version for version, _ in first.values())

    nothing = guarded.ask(f"/api/fixwurx/cluster?have={have}")
    shown_store.set_strategy(BalancingStrategy.RANDOM)
    changed = wait_until(
        "there is something new",
        lambda: (
            answer
            if (answer := guarded.ask(f"/api/fixwurx/cluster?have={have}")).status == 200
            else None
        ),
    ).json
    shown_store.set_strategy(BalancingStrategy.WEIGHTED_CAPACITY)

    assert nothing.status == 304
    assert int(nothing.headers["fixwurx-now-ms"]) > 0
    assert list(changed) == ["totals"]
    assert changed["totals"][1]["strategy"] == "RANDOM"


def test_a_browser_gets_it_compressed(guarded: Flower) -> None:
    import gzip

    answer = guarded.ask("/api/fixwurx/cluster", Accept_Encoding="gzip")

    assert answer.headers["content-encoding"] == "gzip"
    assert b'"totals"' in gzip.decompress(answer.body)


NASTY = "<script>alert(1)</script>\x1b[2J \"'&"


@pytest.mark.parametrize("what", ["log", "patch"])
def test_logs_and_patches_are_plain_text_whatever_they_say(
    guarded: Flower, shown_store: ClusterStore, node: cluster.Life, what: str
) -> None:
    bug_id = ended(shown_store, node, {"outcome": "FIXED", "patch": NASTY}, log=NASTY)

    answer = guarded.ask(f"/api/fixwurx/{what}?bug={bug_id}")

    assert answer.status == 200
    assert answer.text == NASTY
    assert answer.headers["content-type"] == "text/plain; charset=UTF-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; sandbox")


def test_a_patch_comes_from_the_artifacts_too(
    guarded: Flower, shown: Settings, shown_store: ClusterStore, node: cluster.Life
) -> None:
    from fixwurx_celery.artifacts import open_artifacts

    ref = open_artifacts(shown).put(b"--- a/x\n+++ b/x\n")
    bug_id = ended(shown_store, node, {"outcome": "FIXED", "patch_artifact": ref})
    lost = ended(shown_store, node, {"outcome": "FIXED", "patch_artifact": "0" * 64})

    assert guarded.ask(f"/api/fixwurx/patch?bug={bug_id}").text == "--- a/x\n+++ b/x\n"
    refusal = guarded.ask(f"/api/fixwurx/patch?bug={lost}")
    assert (refusal.status, "is not there" in refusal.text) == (400, True)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("log?bug=nobody", 404, "no bug nobody"),
        ("log", 400, "Missing argument bug"),
        ("log?bug=nobody&run=x", 400, "run must be a number"),
        (f"log?bug=nobody&run={'9' * 5000}", 400, "run must be a number"),
        ("patch?bug=nobody", 404, "no bug nobody"),
        ("patch?bug=%25s%3Cb%3E", 404, "no bug %s<b>"),
    ],
)
def test_what_cannot_be_read_is_refused_in_plain_text(
    guarded: Flower, path: str, status: int, said: str
) -> None:
    answer = guarded.ask(f"/api/fixwurx/{path}")

    assert (answer.status, said in answer.text) == (status, True), answer.text
    assert answer.headers["content-type"] == "text/plain; charset=UTF-8"


def test_each_run_has_its_own_log(
    guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    (run,) = cluster.running(shown_store, node, cluster.bug(f"b-{uuid.uuid4().hex[:8]}"))
    shown_store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner, log="first\n")
    _, (again,) = cluster.fail(shown_store, run)
    run = cluster.start(shown_store, again, node, "r2")
    shown_store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner, log="second\n")

    logs = [guarded.ask(f"/api/fixwurx/log?bug={run.bug}{more}").text for more in ("", "&run=1")]
    never = guarded.ask(f"/api/fixwurx/log?bug={run.bug}&run=3")
    cluster.finish(shown_store, run)

    assert logs == ["second\n", "first\n"]
    assert (never.status, never.text) == (404, f"no run 3 of {run.bug}: it has run 2 times\n")


def test_one_that_has_not_run_has_no_log_yet(
    guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    first, waiting = (f"b-{uuid.uuid4().hex[:8]}" for _ in range(2))
    shown_store.submit([cluster.bug(first, agents=9), cluster.bug(waiting, agents=9)])

    assert guarded.ask(f"/api/fixwurx/log?bug={waiting}").text == f"{waiting} has not run yet\n"


# -- what can be done ----------------------------------------------------------------------------


def test_a_node_can_be_drained_and_had_back_with_a_line_in_the_log(
    guarded: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    token = guarded.open_page()

    drained = guarded.act("drain", {"node": node.node}, token)
    during = seen(shown_store, node).state
    shown_at_once = {one["id"]: one["state"] for one in guarded.picture()["nodes"]}[node.node]
    resumed = guarded.act("resume", {"node": node.node}, token)

    assert drained.json == {"said": f"{node.node} takes no more bugs; it runs none"}
    assert during is WorkerState.STOPPING
    assert shown_at_once == "STOPPING"
    assert resumed.json == {"said": f"{node.node} takes bugs again"}
    assert seen(shown_store, node).state is WorkerState.READY
    log = guarded.log.read_text()
    assert f"'me' from 127.0.0.1 asked for drain '{node.node}': {node.node} takes no" in log
    assert f"'me' from 127.0.0.1 asked for resume '{node.node}'" in log


def test_the_strategy_can_be_changed(guarded: Flower, shown_store: ClusterStore) -> None:
    token = guarded.open_page()

    answer = guarded.act("strategy", {"strategy": "ROUND_ROBIN"}, token)
    after = shown_store.strategy()
    shown_store.set_strategy(BalancingStrategy.WEIGHTED_CAPACITY)

    assert answer.json == {"said": "nodes are chosen by ROUND_ROBIN (before: WEIGHTED_CAPACITY)"}
    assert after is BalancingStrategy.ROUND_ROBIN


@pytest.mark.parametrize(
    ("what", "content", "status", "said"),
    [
        ("drain", {"node": "nobody\n[I forged"}, 404, "no node nobody"),
        ("resume", {"node": "nobody"}, 404, "no node nobody"),
        ("strategy", {"strategy": "BEST"}, 400, "no strategy BEST: there are ROUND_ROBIN"),
        ("drain", {"strategy": "x"}, 400, 'send {"node": "..."}'),
        ("drain", {"node": ["x"]}, 400, "node must be text"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    guarded: Flower, what: str, content: Any, status: int, said: str
) -> None:
    answer = guarded.act(what, content, guarded.open_page())

    assert (answer.status, said in answer.text) == (status, True), answer.text
    assert not re.search(r"^\s*\[I forged", guarded.log.read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"node": null}'],
    ids=["empty", "broken", "null", "text", "no text", "deep", "null node"],
)
def test_a_body_that_is_no_order_is_refused_in_words(guarded: Flower, body: bytes) -> None:
    token = guarded.open_page()

    answer = guarded.ask(
        "/api/fixwurx/drain", "POST", body, Content_Type="application/json", X_XSRFToken=token
    )

    assert answer.status == 400
    assert answer.text in ('send {"node": "..."}\n', "node must be text\n")


def test_a_name_that_is_no_text_is_refused_in_words(guarded: Flower) -> None:
    answer = guarded.act("drain", {"node": "\ud800"}, guarded.open_page())

    assert (answer.status, answer.text.startswith("no node ?")) == (404, True)


@pytest.mark.parametrize(
    "name", ["..", "../page.py", "%2e%2e/page.py", "main.js%00", "/etc/passwd"]
)
def test_no_other_file_can_be_had(guarded: Flower, name: str) -> None:
    assert guarded.ask(f"/cluster/static/{name}").status in (403, 404)


FORGED: dict[str, dict[str, str]] = {
    "no token": {"X_XSRFToken": ""},
    "another token": {"X_XSRFToken": "2|00000000|00000000000000000000000000000000|1795527686"},
    "another site": {"Sec_Fetch_Site": "cross-site"},
    "another origin": {"Origin": "https://evil.example"},
    "a form": {"Content_Type": "text/plain"},
    "no cookie": {"Cookie": ""},
}


@pytest.mark.parametrize("what", ACTIONS)
@pytest.mark.parametrize("forged", FORGED.values(), ids=list(FORGED))
def test_no_other_page_can_do_it(
    guarded: Flower, shown_store: ClusterStore, node: cluster.Life, what: str,
    forged: dict[str, str],
) -> None:  # fmt: skip
    token = guarded.open_page()
    content = {"strategy": "RANDOM"} if what == "strategy" else {"node": node.node}
    if "Cookie" in forged:
        guarded.cookies.clear()

    answer = guarded.act(what, content, token, **{k: v for k, v in forged.items() if k != "Cookie"})

    assert answer.status in (403, 415)
    assert seen(shown_store, node).state is WorkerState.READY
    assert shown_store.strategy() is BalancingStrategy.WEIGHTED_CAPACITY


@pytest.mark.parametrize("what", ACTIONS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_only_a_post_does_it(guarded: Flower, what: str, method: str) -> None:
    token = guarded.open_page()

    answer = guarded.ask(f"/api/fixwurx/{what}", method, b"{}", X_XSRFToken=token)

    assert answer.status in (400, 405, 415)
    assert "access-control-allow-origin" not in answer.headers


def test_without_a_login_everything_can_be_seen_and_nothing_done(
    local: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    token = local.open_page(PREFIX)
    body = b'{"node": "%s"}' % node.node.encode()

    answer = local.ask(
        f"{PREFIX}/api/fixwurx/drain", "POST", body, Content_Type="application/json",
        X_XSRFToken=token,
    )  # fmt: skip

    assert answer.status == 403
    assert "with --basic_auth the cluster can be steered" in answer.text
    assert seen(shown_store, node).state is WorkerState.READY
    assert "Nodes cannot be drained from here" in local.ask(f"{PREFIX}/cluster").text


def test_who_opened_flowers_api_to_all_has_opened_ours_to_pages_of_it(
    shown: Settings, folder: Path, shown_store: ClusterStore, node: cluster.Life
) -> None:
    with flower(shown, folder, FLOWER_UNAUTHENTICATED_API="1") as started:
        token = started.open_page()
        forged = started.act("drain", {"node": node.node}, "")
        other_name = started.act("drain", {"node": node.node}, token, Host="evil.example")
        kept = seen(shown_store, node).state
        done = started.act("drain", {"node": node.node}, token)

    assert (forged.status, other_name.status) == (403, 403)
    assert "access-control-allow-origin" not in done.headers
    assert kept is WorkerState.READY
    assert done.status == 200
    assert "'somebody' from 127.0.0.1 asked for drain" in started.log.read_text()


def test_read_only_means_ours_too(
    shown: Settings, folder: Path, shown_store: ClusterStore, node: cluster.Life
) -> None:
    with flower(shown, folder, "--read_only=True", login="a:b") as started:
        answer = started.act("drain", {"node": node.node}, started.open_page())

    assert (answer.status, answer.text) == (403, "Flower was started with --read_only\n")
    assert seen(shown_store, node).state is WorkerState.READY


# -- when things break ---------------------------------------------------------------------------


def test_while_the_store_is_away_the_last_picture_stays_and_comes_back(tmp_path: Path) -> None:
    with start_server(tmp_path / "server", append_only=True) as server:
        settings = Settings(redis_url=server.url, heartbeat_timeout_sec=600)
        store = ClusterStore.from_settings(settings)
        cluster.node(store, "node1@here")
        with flower(settings, tmp_path, login="a:b") as started:
            before = started.picture()
            healthy = started.ask("/healthcheck")
            server.kill()
            away = wait_for(started, lambda told: bool(told["trouble"]))
            sick = started.ask("/healthcheck")
            action = started.act("drain", {"node": "node1@here"}, started.open_page())
            server.start()
            after = wait_for(started, lambda told: not told["trouble"])
        store.close()

    assert (healthy.status, healthy.text) == (200, "OK")
    assert away["nodes"] == before["nodes"]
    assert away["trouble"]["text"].startswith("cannot reach the store at redis://:***@")
    assert away["trouble"]["last_ms"] > 0
    assert sick.status == 503
    assert action.status == 503
    assert [one["id"] for one in after["nodes"]] == ["node1@here"]


@pytest.mark.slow
def test_flower_ends_when_told_also_while_the_store_is_away(tmp_path: Path) -> None:
    from flower.events import Events

    with start_server(tmp_path / "server") as server:
        settings = Settings(redis_url=server.url)
        with flower(settings, tmp_path, login="a:b") as started:
            # A thread of Flower's asks the nodes for events; the second time, without a broker, it
            # waits for that with no end.
            time.sleep(1.5 * Events.events_enable_interval / 1000)
            server.kill()
            time.sleep(1.5 * Events.events_enable_interval / 1000)
            started.process.terminate()
            wait_until("flower has ended", lambda: started.process.poll() is not None, within_s=10)


def test_an_address_that_is_taken_is_said_in_words(
    shown: Settings, folder: Path, guarded: Flower
) -> None:
    ended = refused(shown, folder, f"--port={guarded.port}")

    assert ended.returncode == 2
    assert f"Flower cannot listen on 127.0.0.1:{guarded.port}" in ended.stderr
    assert "give another --port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_flower_that_starts_while_the_store_is_away_says_so(tmp_path: Path) -> None:
    settings = Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0")
    with flower(settings, tmp_path, login="a:b") as started:
        told = wait_for(started, lambda told: bool(told["trouble"]))

    assert list(told) == ["trouble"]
    assert told["trouble"]["last_ms"] is None


def test_a_new_flower_shows_all_that_the_old_one_did(
    shown: Settings, folder: Path, shown_store: ClusterStore, node: cluster.Life, guarded: Flower
) -> None:
    ended(shown_store, node, {"outcome": "NOT_FIXED", "reason": "nothing helped"})
    old = wait_for(guarded, lambda told: told["ended"][0]["detail"] == "nothing helped")

    with flower(shown, folder, login="a:b") as started:
        new = started.picture()

    assert new == old


def wait_for(started: Flower, is_so: Any) -> dict[str, Any]:
    """The picture, once that is so of it."""
    return wait_until(
        "the picture is as it should be",
        lambda: told if is_so(told := started.picture()) else None,
        within_s=15,
    )


@pytest.mark.slow
def test_a_dead_node_leaves_flowers_own_pages_too(redis_url: str, tmp_path: Path) -> None:
    live = LiveCluster(tmp_path, redis_url=redis_url)
    with live.node("node1@here") as kept, live.node("node2@here") as doomed, flower(
        live.settings, tmp_path, "--purge_offline_workers=3", login="a:b"
    ) as started:  # fmt: skip

        def workers() -> dict[str, set[str]]:
            metrics = re.findall(r'worker="([^"]+)"', started.ask("/metrics").text)
            shown = started.ask("/workers?json=1").json["data"]
            return {
                "page": {one["hostname"] for one in shown},
                "api": set(started.ask("/api/workers").json),
                "metrics": set(metrics),
            }

        both = {kept.name, doomed.name}
        wait_until(
            "flower knows both", lambda: all(both == names for names in workers().values()),
            within_s=60,
        )  # fmt: skip
        doomed.kill()
        wait_until(
            "flower has forgotten the dead one",
            lambda: all({kept.name} == names for names in workers().values()),
            within_s=60,
        )
        page = started.ask(f"/worker/{doomed.name}")
    live.close()

    assert page.status == 404
