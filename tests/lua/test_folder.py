"""The Lua folder as such: headers, names, statuses, loops, and that it is shipped."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fixwurx_celery.store import ClusterStore, keys
from fixwurx_celery.store.scaling_state import ScalingState
from fixwurx_celery.store.scripts import load_all, parse
from tests.lua.test_statuses import SCENARIOS
from tests.support.surroundings import ROOT

LUA = ROOT / "fixwurx_celery" / "store" / "lua"
DASHBOARD = ROOT / "fixwurx_celery" / "dashboard"
SCRIPTS = sorted(LUA.glob("*.lua"))
FILES = [*SCRIPTS, *sorted((LUA / "lib").glob("*.lua"))]
NAMES = [path.stem for path in SCRIPTS]
BUILT_IN = frozenset(
    {"redis", "cjson", "string", "table", "math", "tonumber", "tostring", "ipairs", "pairs"}
    | {"unpack", "KEYS", "ARGV"}
)
KEYWORDS = frozenset(
    {"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local"}
    | {"nil", "not", "or", "repeat", "return", "then", "true", "until", "while"}
)


def code_of(path: Path) -> str:
    """The script without comments and texts."""
    text = re.sub(r"--\[\[.*?\]\]", "", path.read_text("utf-8"), flags=re.DOTALL)
    text = re.sub(r"'[^'\n]*'", "''", text)
    return re.sub(r"--[^\n]*", "", text)


def header_of(name: str) -> str:
    found = re.match(r"--\[\[\n(.*?)\]\]\n", (LUA / f"{name}.lua").read_text("utf-8"), re.DOTALL)
    assert found
    return found.group(1)


def library_names() -> set[str]:
    """What the library defines for the scripts."""
    names: set[str] = set()
    for path in sorted((LUA / "lib").glob("*.lua")):
        for line in re.findall(r"^local (?:function )?([\w, ]+)", code_of(path), re.MULTILINE):
            names |= {name.strip() for name in line.split(",")}
    return names


def test_there_is_one_method_for_each_script_and_of_the_same_name() -> None:
    methods = {name for name in (*vars(ClusterStore), *vars(ScalingState)) if name[0] != "_"}

    assert set(NAMES) <= methods
    calls = "".join(
        Path(sys.modules[where.__module__].__file__ or "").read_text("utf-8")
        for where in (ClusterStore, ScalingState)
    )
    called = re.findall(r'_scripts\["(\w+)"\]|\.call\(\s*"(\w+)"|term, "(\w+)"', calls)
    assert {name for names in called for name in names if name} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_header_says_purpose_transition_and_replies(name: str) -> None:
    header = header_of(name)

    assert re.findall(r"^(\w+)", header, re.MULTILINE) in (
        ["purpose", "transition", "args", "replies"],
        ["purpose", "transition", "replies"],
    )
    assert load_all()[name].statuses


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_of_the_header_is_used(name: str) -> None:
    code = code_of(LUA / f"{name}.lua")

    unused = [arg for arg in load_all()[name].args if not re.search(rf"\b{arg}\b", code)]

    assert unused == []


@pytest.mark.parametrize("path", SCRIPTS, ids=NAMES)
def test_scripts_read_arguments_by_name_only(path: Path) -> None:
    assert "ARGV" not in code_of(path)
    assert "KEYS" not in code_of(path)


@pytest.mark.parametrize("name", NAMES)
def test_every_status_in_the_body_is_documented_and_every_documented_one_is_in_the_body(
    name: str,
) -> None:
    body = (LUA / f"{name}.lua").read_text("utf-8").partition("]]\n")[2]
    said = set(re.findall(r"(?:return \{ |answer\(|local (?:reply|said) = \{ )'([A-Z_]+)'", body))
    said |= set(
        re.findall(r"and '([A-Z]+)' or '([A-Z]+)'", body)[0] if "or 'CONTINUE'" in body else ()
    )
    if name == "fail_attempt":
        said |= {"PENDING", "ESCALATED", "CANCELLED"}  # what give_back answers a bug that ran

    assert said == load_all()[name].statuses


@pytest.mark.parametrize("name", NAMES)
def test_every_documented_status_has_a_scenario_that_produces_it(name: str) -> None:
    assert {status for script, status in SCENARIOS if script == name} == load_all()[name].statuses


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_no_script_makes_a_global_variable(path: Path) -> None:
    code = code_of(path)
    known = BUILT_IN | KEYWORDS | library_names() | {"limits", "bell_json", "now"}
    if path.stem in load_all():
        known |= set(load_all()[path.stem].args)
    for names in re.findall(r"\blocal (?:function )?([\w, ]+)", code):
        known |= {name.strip() for name in names.split(",")}
    for names in re.findall(r"\bfunction ?\w*\(([\w, ]*)\)", code):
        known |= {name.strip() for name in names.split(",")}
    for names in re.findall(r"\bfor ([\w, ]+?) (?:in|=)", code):
        known |= {name.strip() for name in names.split(",")}

    # Neither a field (after a dot) nor a key in a table constructor.
    words = set(re.findall(r"(?<![\w.])([A-Za-z_]\w*)\b(?!\s*=[^=])", code))
    # Fields in a constructor end with a comma, statements do not.
    statements = [line for line in code.splitlines() if not line.rstrip().endswith(",")]
    assigned = set(re.findall(r"^\s*([A-Za-z_]\w*)\s*=[^=]", "\n".join(statements), re.MULTILINE))

    assert words - known == set()
    assert assigned - known == set()


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_loop_is_bounded(path: Path) -> None:
    """`for` ends with its list. Each `while` is listed here with what bounds it."""
    code = code_of(path)
    bounded = {
        "while taking do": "each round takes agents from the node, or breaks",
        "while count < most do": "each round counts, or closes a class",
    }

    assert "repeat" not in code
    assert set(re.findall(r"while .*? do", code)) <= set(bounded)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_scripts_neither_read_a_clock_of_their_own_nor_touch_keys_by_pattern(path: Path) -> None:
    code = path.read_text("utf-8")

    assert not re.search(r"'(KEYS|FLUSHDB|FLUSHALL|RANDOMKEY|SPOP|SRANDMEMBER)'", code)
    assert ("'TIME'" in code) == (path.stem == "1_core")
    assert ("'SCAN'" in code) == (path.stem == "1_core"), "mend goes through it, slice by slice"


def test_key_names_are_built_in_one_place_and_described_in_another() -> None:
    core = (LUA / "lib" / "1_core.lua").read_text("utf-8")
    built = dict(re.findall(r"^local ([A-Z]+) = PREFIX \.\. '(\w+)'", core, re.MULTILINE))
    for function, body in re.findall(
        r"^local function (\w+_key)\([\w, ]+\) return PREFIX \.\. (.*?) end", core, re.MULTILINE
    ):
        built[function] = re.sub(r"' \.\. (\w+)(?: \.\. ')?", r"<\1>", body).strip("'")
    built["CONFIG"] = "config"

    assert built == {key.lua: key.name for key in keys.KEYS}
    for path in FILES:
        if path.stem != "1_core":
            assert "PREFIX" not in path.read_text("utf-8"), f"{path.name} builds a key"


def test_the_description_of_the_keys_is_up_to_date() -> None:
    written = (ROOT / "docs" / "redis-keys.md").read_text("utf-8")

    assert written == keys.markdown(), (
        "run: python -m fixwurx_celery.store.keys > docs/redis-keys.md"
    )


def test_a_file_without_a_header_is_refused() -> None:
    with pytest.raises(ValueError, match="does not begin with a header"):
        parse("x", "return 1\n", "")


def test_arguments_that_are_not_the_headers_are_refused() -> None:
    with pytest.raises(TypeError, match="start takes"):
        load_all()["start"].bind("{}", "", "", {"bug": "a"})


@pytest.mark.slow
def test_the_built_wheel_contains_every_script_and_the_page_of_flower(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)],
        check=True, timeout=110,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")

    shipped = set(zipfile.ZipFile(wheel).namelist())

    page = [path for path in DASHBOARD.rglob("*") if path.suffix in (".html", ".css", ".js")]
    assert len(page) > 10
    assert {str(path.relative_to(ROOT)) for path in (*FILES, *page)} <= shipped
