"""Manifests: what is taken, and what each refusal says."""
# ruff: noqa: E501 - a message is quoted in one line, so that it can be searched for

import io
import json
import tarfile
from pathlib import Path

import pytest

from fixwurx_celery.cli.manifest import Manifest, load_manifest
from fixwurx_celery.cli.sources import pack, pack_sources
from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.errors import InputError

GOOD = """\
bugs:
  - id: b1
    source: {path: repo}
    reproduce: python -m pytest -q
"""
NODES = [
    NodeSpec(agents=9, capabilities=frozenset({"python"})),
    NodeSpec(agents=4, capabilities=frozenset({"python", "gpu"})),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "a.py").write_text("x = 1\n")
    (tmp_path / "plain-file").write_text("x")
    (tmp_path / "a.diff").write_text("--- a/a.py\n+++ b/a.py\n")
    (tmp_path / "empty.diff").write_text("\n")
    (tmp_path / "latin.diff").write_bytes(b"\xe9")
    return tmp_path


def load(folder: Path, text: str | bytes, name: str = "bugs.yaml", **options: object) -> Manifest:
    content = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(content)
    return load_manifest(folder / name, **options)  # type: ignore[arg-type]


def problems(folder: Path, text: str | bytes, name: str = "bugs.yaml") -> list[str]:
    with pytest.raises(InputError) as caught:
        load(folder, text, name, nodes=lambda _: NODES)
    return [problem.replace(str(folder) + "/", "") for problem in caught.value.problems]


def bug(**fields: object) -> str:
    """A manifest of one bug; a field given as None is left out."""
    whole = {"id": "b1", "source": {"path": "repo"}, "reproduce": "false", **fields}
    lines = [f"    {key}: {json.dumps(value)}" for key, value in whole.items() if value is not None]
    return "bugs:\n  -\n" + "\n".join(lines) + "\n"


def test_a_minimal_bug_gets_the_documented_defaults(folder: Path) -> None:
    (only,) = load(folder, GOOD).bugs

    assert (only.id, only.agents, only.requires, only.priority) == ("b1", 3, frozenset(), 0)
    assert (only.timeout_s, only.limits, only.expected_s) == (300.0, {}, None)
    assert only.payload == {
        "source": {"path": str(folder / "repo")},
        "reproduce": "python -m pytest -q",
        "analyst": "mutate",
    }


def test_every_field_arrives(folder: Path) -> None:
    text = bug(
        verify="true", files=["src/*.py"], analyst={"patches": ["a.diff"]}, agents=4,
        requires=["python", "gpu"], priority=-5, timeout=12.5, expected_seconds=3,
        reproduce_timeout=5, verify_timeout=6, limits={"waiting": 7, "verify": 1.5},
    )  # fmt: skip

    (only,) = load(folder, text, nodes=lambda _: NODES).bugs

    assert (only.agents, only.requires) == (4, frozenset({"python", "gpu"}))
    assert (only.priority, only.timeout_s, only.expected_s) == (-5, 12.5, 3.0)
    assert only.limits == {"waiting": 7.0, "verify": 1.5}
    assert only.payload["analyst"] == {"patches": ["--- a/a.py\n+++ b/a.py\n"]}
    assert only.payload["files"] == ["src/*.py"]
    assert only.payload["reproduce_timeout"] == 5


def test_json_lines_say_the_same(folder: Path) -> None:
    line = {"id": "b1", "source": {"path": "repo"}, "reproduce": "python -m pytest -q"}

    from_lines = load(folder, json.dumps(line) + "\n\n", "bugs.jsonl").bugs

    assert from_lines == load(folder, GOOD).bugs


def test_json_lines_are_known_by_what_is_in_them(folder: Path) -> None:
    line = {"id": "b1", "source": {"path": "repo"}, "reproduce": "python -m pytest -q"}

    assert load(folder, json.dumps(line), "bugs").bugs == load(folder, GOOD).bugs


def test_a_manifest_may_be_one_object_of_json(folder: Path) -> None:
    bug = {"id": "b1", "source": {"path": "repo"}, "reproduce": "python -m pytest -q"}

    assert load(folder, json.dumps({"bugs": [bug]})).bugs == load(folder, GOOD).bugs


def test_aliases_and_merge_keys_are_expanded(folder: Path) -> None:
    text = """\
x-common: &common
  source: {path: repo}
  reproduce: 'false'
  priority: 1
bugs:
  - {id: b1, <<: *common}
  - {id: b2, <<: *common, priority: 2}
"""
    first, second = load(folder, text).bugs

    assert (first.priority, second.priority) == (1, 2)
    assert first.payload == second.payload


@pytest.mark.parametrize("written", ["4711", "0017", "1_000"])
def test_an_id_that_looks_like_a_number_stays_as_it_is_written(folder: Path, written: str) -> None:
    (only,) = load(folder, GOOD.replace("id: b1", f"id: {written}")).bugs

    assert only.id == written


def test_fields_pass_through_to_an_engine_of_the_users(folder: Path) -> None:
    text = "bugs:\n  - {id: b1, target: [1, {a: null}], agents: 1}\n"

    (only,) = load(folder, text, engine="mine:Engine").bugs

    assert (only.agents, only.payload) == (1, {"target": [1, {"a": None}]})


def test_limits_are_the_clusters_whatever_the_engine(folder: Path) -> None:
    text = "bugs:\n  - id: b1\n    limits:\n      setup: 900\n      run: null\n"

    (only,) = load(folder, text, engine="mine:Engine").bugs

    assert (only.limits, only.payload) == ({"setup": 900.0}, {})


REFUSED = {
    "unknown field": (
        bug(reproduse="x"),
        "bugs.yaml:6: bug b1: unknown field 'reproduse'; did you mean reproduce?",
    ),
    "unknown field at the top": ("bug: []\n", "bugs.yaml:1: unknown field 'bug'; did you mean bugs?"),
    "no id": (bug(id=None), "bugs.yaml:3: a bug without an id; add `id: ...`"),
    "bad id": (bug(id="a/b"), "bugs.yaml:3: id 'a/b' must begin with a letter or digit"),
    "id too long": (bug(id="a" * 129), "at most 128; rename it"),
    "id is a list": (bug(id=[1]), "bugs.yaml:3: id [1] is not a text; put it in quotes"),
    "no source": (bug(source=None), "source is missing; write source: {path: ./folder}"),
    "source is a text": (bug(source="repo"), "source 'repo' says neither path nor git"),
    "missing path": (
        bug(source={"path": "rpeo"}),
        "bugs.yaml:4: bug b1: source.path rpeo does not exist (looked for rpeo); did you mean repo?",
    ),
    "path is a file": (
        bug(source={"path": "plain-file"}),
        "source.path plain-file is a file; name the folder it lies in",
    ),
    "unknown source field": (
        bug(source={"pth": "repo"}), "unknown field source.pth; did you mean path?",
    ),
    "git without ref": (bug(source={"git": "https://h/r"}), "source.git https://h/r has no ref"),
    "git folder missing": (bug(source={"git": "nowhere", "ref": "x"}), "source.git nowhere is no URL"),
    "git option": (bug(source={"git": "--upload-pack=x", "ref": "x"}), "must not begin with a dash"),
    "ref is a number": (bug(source={"git": "https://h/r", "ref": 7}), "source.ref 7 must be a text"),
    "no reproduce": (bug(reproduce=None), "bugs.yaml:3: bug b1: reproduce is missing"),
    "empty reproduce": (bug(reproduce=" "), "reproduce ' ' must be a shell command"),
    "reproduce is a list": (bug(reproduce=["a"]), "reproduce ['a'] must be a shell command"),
    "verify is a number": (bug(verify=1), "verify 1 must be a shell command"),
    "files is a text": (bug(files="a.py"), "files 'a.py' must be a list of paths or globs"),
    "files lead out": (bug(files=["../a"]), "files has ../a; give paths relative to the source's root"),
    "unknown analyst": (bug(analyst="mutat"), "no analyst mutat; did you mean mutate?"),
    "analyst form": (bug(analyst={"command": 1}), "is none of the three; write analyst: mutate"),
    "no patches": (bug(analyst={"patches": []}), "is none of the three"),
    "patch missing": (
        bug(analyst={"patches": ["a.dif"]}),
        "bugs.yaml:6: bug b1: analyst.patches: a.dif: no such file or directory; did you mean a.diff?",
    ),
    "patch empty": (bug(analyst={"patches": ["empty.diff"]}), "empty.diff is empty"),
    "patch binary": (bug(analyst={"patches": ["latin.diff"]}), "latin.diff is not UTF-8 text"),
    "agents of text": (bug(agents="three"), "agents 'three' must be a whole number, from 1 to 1024"),
    "agents of bool": (bug(agents=True), "agents True must be a whole number"),
    "no agents": (bug(agents=0), "agents 0 must be a whole number, from 1 to 1024; e.g. agents: 3"),
    "agents of no node": (
        bug(agents=10),
        "bugs.yaml:6: bug b1: agents 10 is more than any node has; the largest has 9; lower it, or "
        "add a node with --node 10:gpu,python",
    ),
    "label of no node": (
        bug(requires=["tpu"]),
        "bugs.yaml:6: bug b1: requires tpu, which no node offers; they offer gpu, python; add a node "
        "with --node 9:gpu,python,tpu",
    ),
    "no single node": (
        bug(requires=["gpu"], agents=5), "no single node has 5 agents and gpu; add one with --node",
    ),
    "requires is a text": (bug(requires="gpu"), "requires 'gpu' must be a list of capabilities"),
    "bad label": (bug(requires=["a b"]), "requires 'a b' must be letters, digits"),
    "priority too high": (bug(priority=1001), "priority 1001 must be a whole number, from -1000 to"),
    "no time": (bug(timeout=0), "timeout 0 must be a number of seconds, above 0 and at most 604800"),
    "too much time": (bug(timeout=604801), "timeout 604801 must be a number of seconds"),
    "time of text": (bug(timeout="5m"), "timeout '5m' must be a number of seconds"),
    "time is not a number": (GOOD + "    timeout: .nan\n", "timeout nan must be a number of seconds"),
    "limits is a number": (
        bug(limits=5), "bugs.yaml:6: bug b1: limits 5 must have seconds by clock; e.g. limits: {setup",
    ),
    "limits of a list": (bug(limits=["run"]), "limits ['run'] must have seconds by clock"),
    "limit of no clock": (
        bug(limits={"steup": 5}), "bugs.yaml:6: bug b1: unknown field limits.steup; did you mean setup?",
    ),
    "limit of no clock at all": (
        bug(limits={"queue": 5}), "unknown field limits.queue; clocks are waiting, setup, run, verify",
    ),
    "no limit": (
        bug(limits={"run": 0}),
        "bugs.yaml:6: bug b1: limits.run 0 must be a number of seconds, above 0 and at most 604800; "
        "e.g. limits: {run: 40}",
    ),
    "limit of text": (bug(limits={"verify": "5m"}), "limits.verify '5m' must be a number of seconds"),
    "expected": (bug(expected_seconds=-1), "expected_seconds -1 must be a number of seconds"),
    "reproduce_timeout": (bug(reproduce_timeout=0), "reproduce_timeout 0 must be a number of seconds"),
    "duplicate id": (
        GOOD + "  - {id: b1, source: {path: repo}, reproduce: x}\n",
        "bugs.yaml:5: bug b1: id 'b1' is taken by the bug at line 2; ids are unique",
    ),
    "duplicate field": (GOOD + "    id: b2\n", "bugs.yaml:5: field 'id' is there twice"),
    "a bug is a text": ("bugs: [hello]\n", "bugs.yaml:1: 'hello' is not a bug; write `- id: ...`"),
    "empty file": ("", "bugs.yaml: it is empty; begin it with `bugs:`"),
    "only comments": ("# nothing\n", "bugs.yaml: it is empty"),
    "empty list": ("bugs: []\n", "bugs.yaml:1: `bugs` is an empty list"),
    "a list": ("- id: b1\n", "bugs.yaml:1: it is not a manifest; begin the file with `bugs:`"),
    "bugs is a mapping": ("bugs: {id: b1}\n", "bugs.yaml:1: `bugs` is not a list"),
    "not YAML": ("bugs:\n  - id: b1\n   source: {", "bugs.yaml:3: not YAML: "),
    "tabs": ("bugs:\n\t- id: b1\n", "bugs.yaml:2: not YAML: "),
    "binary": (b"\x7fELF\x02\0\0\0", "bugs.yaml:1: it is binary; give YAML or JSON Lines as UTF-8"),
    "not UTF-8": (b"bugs:\n  - id: caf\xe9\n", "bugs.yaml:2: byte 17 is not UTF-8"),
    "control characters": (b"bugs: \x01\n", "bugs.yaml: not YAML: "),
    "python object": (GOOD + "    files: !!python/name:os.system ''\n", "is not plain YAML"),
    "alias to itself": ("bugs: &a [*a]\n", "bugs.yaml:1: its aliases repeat more than"),
    "nested too deeply": ("bugs: " + "[" * 500, "bugs.yaml:1: it is nested more than 40 deep"),
    # Of which PyYAML says so itself, from 6.0.4 on.
    "nested very deeply": ("bugs: " + "[" * 100_000, " nest"),
    "two documents": (GOOD + "---\n" + GOOD, "bugs.yaml:5: not YAML: "),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_file_line_rule_and_way_out(folder: Path, case: str) -> None:
    text, expected = REFUSED[case]

    told = problems(folder, text)

    assert expected in "\n".join(told)
    assert len(told) == 1
    assert told[0].startswith("bugs.yaml:")


JSON_REFUSED = {
    "not JSON": ('{"id": "b1"}\n{"id": \n', "bugs.jsonl:2: not JSON at character"),
    "a list": ("[1]\n", "bugs.jsonl:1: [1] is not a bug"),
    "duplicate field": ('{"id": "a", "id": "b"}\n', "bugs.jsonl:1: field 'id' is there twice"),
    "NaN": ('{"id": "a", "timeout": NaN}\n', "bugs.jsonl:1: NaN is not JSON"),
    "nested too deeply": ('{"id": ' + "[" * 200_000 + "\n", "bugs.jsonl:1: it is nested too deeply"),
    "duplicate id": (
        '{"id": "a", "source": {"path": "repo"}, "reproduce": "x"}\n' * 2,
        "bugs.jsonl:2: bug a: id 'a' is taken by the bug at line 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", JSON_REFUSED)
def test_json_lines_are_refused_by_their_line(folder: Path, case: str) -> None:
    text, expected = JSON_REFUSED[case]

    assert expected in "\n".join(problems(folder, text, "bugs.jsonl"))


def test_every_problem_is_told_at_once_in_the_order_of_lines(folder: Path) -> None:
    text = GOOD + "    agents: 0\n    tiemout: 5\n  - {id: b2, reproduce: x}\n  - {id: b1}\n"

    told = problems(folder, text)

    assert [problem.split(":")[1] for problem in told] == ["5", "6", "7", "8", "8", "8"]


def test_a_flood_of_problems_is_cut_off_and_counted(folder: Path) -> None:
    told = problems(folder, "bugs:\n" + "  - {id: '!'}\n" * 100)

    assert len(told) == 51
    assert told[-1] == "and 250 more"


def test_a_hundred_megabytes_are_refused_without_being_read(folder: Path) -> None:
    with (folder / "bugs.yaml").open("wb") as file:
        file.truncate(100 * 2**20)

    with pytest.raises(InputError, match=r"bugs.yaml: it is larger than 16 MiB"):
        load_manifest(folder / "bugs.yaml")


def test_a_bomb_of_aliases_is_refused(folder: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    (told,) = problems(folder, "\n".join(f"x-{level}" for level in levels) + "\nbugs: [*a11]\n")

    assert "its aliases repeat more than 100000 values" in told


@pytest.mark.parametrize(
    ("name", "expected"),
    [("bug.yaml", "no such file; did you mean bugs.yaml?"), ("repo", "it is a folder")],
)
def test_a_manifest_that_is_not_there(folder: Path, name: str, expected: str) -> None:
    (folder / "bugs.yaml").write_text(GOOD)

    with pytest.raises(InputError, match=expected.replace("?", r"\?")):
        load_manifest(folder / name)


# -- packing ---------------------------------------------------------------------------------


def names(content: bytes, tmp_path: Path) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
        return archive.getnames()


def test_equal_trees_are_packed_to_equal_bytes(tmp_path: Path) -> None:
    for number, mode in ((1, 0o600), (2, 0o666)):
        place = tmp_path / str(number) / "src"
        place.mkdir(parents=True)
        for name in ("b.py", "a.py") if number == 1 else ("a.py", "b.py"):
            (place / name).write_text(name)
            (place / name).chmod(mode)

    assert pack(tmp_path / "1") == pack(tmp_path / "2")


def test_packing_leaves_out_what_is_no_source_and_keeps_links_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in (".git", "__pycache__", ".venv", "node_modules", "src"):
        (root / name).mkdir(parents=True)
        (root / name / "file").write_text("x")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "inside").symlink_to("src/file")
    (root / "loop").symlink_to(".")
    (root / "outside").symlink_to("../secret")
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "above").symlink_to("src/../../secret")

    packed = names(pack(root), tmp_path)

    assert packed == ["inside", "loop", "run.sh", "src", "src/file"]
    assert (tmp_path / "unpacked" / "run.sh").stat().st_mode & 0o100


def test_a_folder_that_is_too_large_is_refused_with_where_and_the_way_out(folder: Path) -> None:
    with (folder / "repo" / "core").open("wb") as file:
        file.truncate(600 * 2**20)
    manifest = load(folder, GOOD)

    with pytest.raises(InputError) as caught:
        list(pack_sources(manifest, "fixwurx_celery.engine:triangulation"))

    (told,) = caught.value.problems
    assert "bugs.yaml:2: bug b1: source.path" in told
    assert "more than 512 MiB" in told


def test_the_input_is_named_by_what_the_engine_is_given(folder: Path) -> None:
    def name(text: str) -> str:
        (packed,) = pack_sources(load(folder, text), "fixwurx_celery.engine:triangulation")
        return packed.input

    before = name(bug())

    assert name(bug(priority=5, timeout=7, limits={"run": 7}, expected_seconds=3)) == before
    assert name(bug(reproduce="true")) != before
    assert name(bug(agents=1)) != before
    (folder / "repo" / "a.py").write_text("x = 2\n")
    assert name(bug()) != before
