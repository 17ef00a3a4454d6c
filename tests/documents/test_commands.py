"""Every command that the documents show, typed as it stands there where it makes sense.

What is replaced are names that stand for a reader's own: ID, NODE, a decision's id, ports.
Containers' commands are run by their own tests, in containers.
"""

import json
import re
import shutil
import urllib.error
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import click
import pytest

from fixwurx_celery.cli import cli
from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support.commands import Desk, desk
from tests.support.documented import blocks, pages, prose, shown
from tests.support.server import free_port, start_server
from tests.support.shell import Shell
from tests.support.terminal import terminal
from tests.support.waiting import wait_until

COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:fixwurx-celery|celery -A) ")
WORDS = re.compile(r"`([^`]+)`")
GROUPS = ("bug", "config", "node", "scale", "strategy")
ELSEWHERE: Final = ("containers.md", "../bench/RESULTS.md")
PATCH = """\
--- a/gcd.py
+++ b/gcd.py
@@ -1,4 +1,4 @@
 def gcd(a, b):
     while b:
-        a, b = b, a // b
+        a, b = b, a % b
     return a
"""
DEFECT = "".join(line[1:] + "\n" for line in PATCH.splitlines()[3:] if not line.startswith("+"))
ALONE: Final = {"FIXWURX_REDIS_URL": "", "FIXWURX_NAMESPACE": "fixwurx"}
"""For commands that bring a cluster of their own."""
TRACE = "".join(f"{5 * n},60,3\n" for n in range(20))


# -- which there are -----------------------------------------------------------------------------


def without_comment(line: str) -> str:
    return re.sub(r"\s+#\s.*$", "", line).strip()


def typed_in_blocks(page: str) -> Iterator[str]:
    for block in blocks(page):
        if block.kind in ("sh", "console", ""):
            for line in block.text.replace("\\\n", " ").splitlines():
                line = line.strip().removeprefix("$ ")
                if COMMAND.match(line):
                    yield without_comment(line)


def typed_in_words(page: str) -> Iterator[str]:
    """`node list`, `fixwurx-celery doctor` within a sentence; `bug list|show` is two. What only
    names a command, without the arguments that it needs, is not to be typed."""
    for words in WORDS.findall("\n".join(line for _, line in prose(page))):
        words = " ".join(words.split())
        if words.split()[0] in GROUPS and len(words.split()) > 1:
            words = f"fixwurx-celery {words}"
        if not COMMAND.match(words) or "…" in words:
            continue
        start, *others = words.split("|") if " | " not in words else [words]
        every = [start, *(f"{start.rsplit(' ', 1)[0]} {other}" for other in others)]
        yield from (one for one in every if not is_name_only(one))


def is_name_only(command: str) -> bool:
    words = command.split()
    if words[0] != "fixwurx-celery":
        return False
    at: click.Command = cli
    for word in words[1:]:
        found = at.get_command(click.Context(at), word) if isinstance(at, click.Group) else None
        if found is None and not word.startswith("-"):
            return False
        at = found or at
    return any(isinstance(param, click.Argument) and param.required for param in at.params)


def typed() -> list[str]:
    """All of them, each once."""
    every = [
        command
        for page in pages()
        if page not in ELSEWHERE
        for command in (*typed_in_blocks(page), *typed_in_words(page))
    ]
    return list(dict.fromkeys(re.sub(r" {2,}", " ", command) for command in every))


# -- where they are typed --------------------------------------------------------------------------


@dataclass
class Stage:
    """A reader's desk, and a store with two clusters: `served`, with node1@host and a controller,
    where BUG-123 was fixed; and `waiting`, without a node."""

    at: Desk
    url: str

    @cached_property
    def shell(self) -> Shell:
        return Shell(
            self.at,
            FIXWURX_REDIS_URL=self.url,
            FIXWURX_NAMESPACE="served",
            FIXWURX_WORK_DIR=str(self.at.folder / "work"),
            FIXWURX_STATE_DIR=str(self.at.folder / "state"),
            FIXWURX_TOTAL_AGENTS="4",
            FIXWURX_HEARTBEAT_INTERVAL_SEC="0.5",
        )

    @cached_property
    def served(self) -> ClusterStore:
        return ClusterStore.from_settings(Settings(redis_url=self.url, namespace="served"))

    def lay_out(self) -> None:
        """A repository with a defect and what repairs it, manifests, a trace."""
        folder, tests = self.at.folder, self.at.folder / "repo" / "tests"
        tests.mkdir(parents=True)
        (folder / "repo/gcd.py").write_text(DEFECT)
        (folder / "repo/conftest.py").write_text("")
        (tests / "test_gcd.py").write_text(
            "from gcd import gcd\n\n\ndef test_gcd():\n    assert gcd(12, 18) == 6\n"
        )
        (folder / "a.diff").write_text(PATCH)
        bug = {
            "id": "BUG-123",
            "source": {"path": "./repo"},
            "reproduce": "python -m pytest -q -x tests/test_gcd.py",
            "analyst": {"patches": ["a.diff"]},
        }
        (folder / "bugs.jsonl").write_text(json.dumps(bug) + "\n")
        (folder / "bugs.yaml").write_text(f"bugs:\n- {json.dumps(bug)}\n")
        (folder / "bugs.csv").write_text(TRACE)

    def fixed(self, bug_id: str = "BUG-123") -> None:
        wait_until(
            f"{bug_id} is fixed",
            lambda: self.served.bug(bug_id).state is BugState.DONE,
            within_s=40,
        )

    def decision(self) -> str:
        """The id of one that was taken."""
        said = self.shell("fixwurx-celery scale history --changes --json")
        return str(json.loads(said)[0]["id"])

    def node_state(self) -> WorkerState:
        [found] = [one for one in self.served.snapshot().live if one.worker_id == "node1@host"]
        return found.state


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    with (
        start_server(tmp_path_factory.mktemp("server"), append_only=True) as server,
        desk(folder) as at,
    ):
        stage = Stage(at, server.url)
        stage.lay_out()
        scaling = {"FIXWURX_PROVIDER": "local", "FIXWURX_SCALING_INTERVAL_SEC": "1",
                   "FIXWURX_MIN_WORKERS": "2", "FIXWURX_MAX_WORKERS": "2"}  # fmt: skip
        with (
            stage.shell.beside("celery -A fixwurx_celery worker -n node1@host"),
            stage.shell.beside("celery -A fixwurx_celery.controller worker -B", **scaling),
        ):
            wait_until("two nodes serve", lambda: len(stage.served.snapshot().live) == 2,
                       within_s=60)  # fmt: skip
            stage.shell("fixwurx-celery submit bugs.yaml --wait")
            second = (folder / "bugs.jsonl").read_text().replace("BUG-123", "BUG-124")
            (folder / "second.jsonl").write_text(second)
            stage.shell("fixwurx-celery submit second.jsonl --wait")
            yield stage
        stage.served.close()
        for process in at.named("providers.supervisor") + at.named("-n auto"):
            process.terminate()
        at.check_nothing_is_left()


# -- how each is typed, and what is to be seen -----------------------------------------------------


def with_what_is_here(command: str) -> str:
    """Without what comes after a pipe, where jq is not installed."""
    return command.partition(" | ")[0] if "jq" in command and not shutil.which("jq") else command


def answers(stage: Stage, command: str) -> None:
    stage.fixed()
    assert stage.shell(command) or ">" in command


def answers_for_the_reader(stage: Stage, command: str) -> None:
    for word, ours in (("ID|discount", "BUG-123"), ("NODE|node2@host2", "node1@host")):
        command = re.sub(rf"\b({word})\b", ours, command)
    answers(stage, command)


def says_how_it_is(stage: Stage, command: str) -> None:
    """Also that something fails is an answer of the doctor's."""
    assert "OK" in stage.shell(command)


def is_piped(stage: Stage, command: str) -> None:
    command = with_what_is_here(command)
    patched = "git apply" in command
    folder = "clone" if patched else "."
    if patched:
        shutil.copytree(stage.at.folder / "repo", stage.at.folder / "clone")
    stage.fixed()
    stage.shell(command, folder)
    if patched:
        assert "a % b" in (stage.at.folder / "clone/gcd.py").read_text()


def changes_what_waits(stage: Stage, command: str) -> None:
    waiting = {"FIXWURX_NAMESPACE": f"w{uuid.uuid4().hex[:8]}"}
    for name in ("bugs", "second"):
        stage.shell(f"fixwurx-celery submit {name}.jsonl", **waiting)
    stage.shell(command, **waiting)


def runs_again(stage: Stage, command: str) -> None:
    stage.fixed()
    before = stage.served.bug("BUG-123").epoch
    stage.shell(command.replace("ID", "BUG-123"))
    stage.fixed()
    assert stage.served.bug("BUG-123").epoch > before


def drains(stage: Stage, command: str) -> None:
    stage.shell(command.replace("node2@host2", "node1@host"))
    assert stage.node_state() is WorkerState.STOPPING
    stage.shell("fixwurx-celery node resume node1@host")


def resumes(stage: Stage, command: str) -> None:
    stage.shell("fixwurx-celery node drain node1@host")
    stage.shell(command.replace("NODE", "node1@host"))
    assert stage.node_state() is not WorkerState.STOPPING


def explains(stage: Stage, command: str) -> None:
    said = stage.shell(re.sub(r"\d+-\d+", lambda _: stage.decision(), command))
    assert "2 nodes" in said or "node" in said


def simulates(stage: Stage, command: str) -> None:
    stage.shell(command)
    if picture := re.search(r"--plot (\S+)", command):
        assert "<svg" in (stage.at.folder / picture[1]).read_text()


def repairs(stage: Stage, command: str) -> None:
    shutil.rmtree(stage.at.folder / "out", ignore_errors=True)
    assert "FIXED" in stage.shell(with_what_is_here(command), **ALONE)
    assert "a % b" in (stage.at.folder / "out/BUG-123.patch").read_text()


def helps(stage: Stage, command: str) -> None:
    assert "Usage:" in stage.shell(command)


def comes_up(stage: Stage, command: str) -> None:
    own = {**ALONE, "FIXWURX_STATE_DIR": str(stage.at.folder / f"up-{uuid.uuid4().hex[:6]}")}
    with stage.shell.beside(command, **own) as said:
        wait_until(f"{command} is ready", lambda: "\nready: " in said(), within_s=40)


def is_watched(stage: Stage, command: str) -> None:
    env = stage.shell.environment
    with terminal(["bash", "-c", with_what_is_here(command)], env, columns=100) as seen:
        if "jq" in command:
            seen.shows("how many wait", lambda text: re.search(r"^0$|waiting", text, re.M))
        else:
            seen.shows("the picture", lambda text: "agents busy" in text)
        seen.type(b"\x03")
        assert seen.ends() in (0, 130)


def serves_metrics(stage: Stage, command: str) -> None:
    port = free_port()
    own = {"FIXWURX_METRICS_LISTEN": f"127.0.0.1:{port}", "FIXWURX_METRICS_TOKEN": "t" * 20}
    with stage.shell.beside(command.replace("9464", str(port)), **own):
        page = fetched(f"http://127.0.0.1:{port}/metrics", Authorization=f"Bearer {'t' * 20}")
    assert "fixwurx_agents" in page


def serves_flower(stage: Stage, command: str) -> None:
    port = free_port()
    headers = {}
    if login := re.search(r"(?i)basic_auth=(\S+)", command):
        headers["Authorization"] = f"Basic {b64encode(login[1].encode()).decode()}"
    prefix = re.search(r"--url_prefix=(\S+)", command)
    path = f"/{prefix[1]}/cluster" if prefix else "/cluster"
    with stage.shell.beside(command, FLOWER_PORT=str(port)):
        page = fetched(f"http://127.0.0.1:{port}{path}", **headers)
    assert "Cluster" in page


def fetched(url: str, **headers: str) -> str:
    """The page, once it is served."""

    def look() -> str:
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    asked = urllib.request.Request(url, headers=headers)

    return wait_until(f"{url} is served", look, within_s=40)


def serves(stage: Stage, command: str) -> None:
    """A node, a controller or a beat, in a cluster and a folder of its own."""
    folder = stage.at.folder / f"own{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    own = {"FIXWURX_NAMESPACE": folder.name, "FIXWURX_WORK_DIR": str(folder)}
    sign = "celerybeat-schedule*" if command.endswith(" beat") else "pulse-*"
    with stage.shell.beside(f"exec {command}", folder.name, **own) as said:
        wait_until(f"{command} works: {said()}", lambda: [*folder.rglob(sign)], within_s=40)


def test_the_readmes_program_hands_in_a_bug(stage: Stage) -> None:
    [text] = shown("README.md", "On machines", "python")
    shutil.copytree(stage.at.folder / "repo", stage.at.folder / "shop")
    port, me = free_port(), "-c user.name=me -c user.email=me@localhost"
    stage.shell(
        f"git init -qb main && git add . && git {me} commit -qm shop && git update-server-info",
        "shop",
    )
    program = text.replace("https://git.example/shop.git", f"http://127.0.0.1:{port}/.git")
    (stage.at.folder / "program.py").write_text(program.replace("BUG-123", "BUG-125"))

    with stage.shell.beside(f"exec python -m http.server -b 127.0.0.1 {port}", "shop"):
        fetched(f"http://127.0.0.1:{port}/")
        said = stage.shell("python program.py")
        assert said == "FIXED\n", stage.served.bug("BUG-125").outcome


Typing = Callable[[Stage, str], None]
HOW: Final[tuple[tuple[str, Typing, bool], ...]] = (
    # A command, how it is typed, and whether that takes long.
    (r".* --help", helps, False),
    (r"fixwurx-celery run ", repairs, True),
    (r"fixwurx-celery watch", is_watched, False),
    (r".* \| ", is_piped, False),
    (r"fixwurx-celery up\b", comes_up, True),
    (r"fixwurx-celery bug (cancel|prioritise)", changes_what_waits, False),
    (r"fixwurx-celery bug retry", runs_again, True),
    (r"fixwurx-celery node drain", drains, False),
    (r"fixwurx-celery node resume", resumes, False),
    (r"fixwurx-celery scale explain", explains, False),
    (r"fixwurx-celery scale simulate .*--compare", simulates, True),
    (r"fixwurx-celery scale simulate", simulates, False),
    (r"fixwurx-celery doctor", says_how_it_is, False),
    (r"fixwurx-celery metrics --once", answers, False),
    (r"fixwurx-celery metrics", serves_metrics, False),
    (r".*(fixwurx-celery|celery -A fixwurx_celery) flower", serves_flower, True),
    (r"celery -A fixwurx_celery(\.controller)? (worker|beat)", serves, True),
    (r".*\b(ID|NODE|discount)\b", answers_for_the_reader, False),
    (r".*", answers, False),
)  # fmt: skip


def each() -> Iterator[object]:
    for command in typed():
        how, is_long = next((how, is_long) for at, how, is_long in HOW if re.match(at, command))
        marks = [pytest.mark.slow] if is_long else []
        yield pytest.param(how, command, marks=marks, id=command.replace(" ", "_"))


@pytest.mark.parametrize(("how", "command"), [*each()])
def test_it_does_what_the_document_says(stage: Stage, how: Typing, command: str) -> None:
    how(stage, command)
