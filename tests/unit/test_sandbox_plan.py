"""What the sandbox is asked for, without asking for it: places, variables, groups of control."""

import os
import platform
from dataclasses import replace
from pathlib import Path

import pytest

from fixwurx_celery.engine import cgroup, usage
from fixwurx_celery.engine.etc import lay_out
from fixwurx_celery.engine.sandbox import UNCONFINED, Sandbox, open_sandbox, why_unconfined
from fixwurx_celery.engine.seccomp import ARCHITECTURES, program
from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.settings import Settings

PLAN = Sandbox(bwrap="bwrap", reads=("/opt/venv", "/usr/lib/python3", "/opt/venv/lib"))


def mounts(argv: list[str], how: str) -> list[str]:
    return [argv[i + 1] for i, word in enumerate(argv) if word == how]


def test_unconfined_is_the_command_itself() -> None:
    assert UNCONFINED.argv(["x", "y"], cwd=Path("/")) == ["x", "y"]
    assert not open_sandbox(Settings(sandbox="off"))
    assert why_unconfined(Settings(sandbox="off")) == "FIXWURX_SANDBOX=off"


def test_what_is_seen_is_not_shown_twice() -> None:
    argv = PLAN.argv(["x"], cwd=Path("/w/copy"), reads=(Path("/w/probe"),))

    shown = [place for place in mounts(argv, "--ro-bind-try") if not place.startswith("/etc")]
    assert shown == ["/opt/venv", "/w/probe"]


def test_a_place_to_write_in_another_is_that_one() -> None:
    # Of two mounts, nothing could be renamed from one to the other.
    writes = (Path("/w/tree/sub"), Path("/w/tree"), Path("/w/out"))

    argv = PLAN.argv(["x"], cwd=Path("/w/tree/sub"), writes=writes)

    assert mounts(argv, "--bind") == ["/w/out", "/w/tree"]


def test_network_and_capabilities_are_given_to_nobody_who_does_not_ask() -> None:
    argv = PLAN.argv(["x"], cwd=Path("/w"))

    assert "--unshare-net" in argv
    assert argv[argv.index("--cap-drop") + 1] == "ALL"
    assert "--cap-add" not in argv
    assert "/etc/resolv.conf" not in argv
    asked = replace(PLAN, own="/w/sandbox", may_network=True).with_network(is_asked=True)
    assert "--unshare-net" not in asked.argv(["x"], cwd=Path("/w"))
    assert "/etc/resolv.conf" in asked.argv(["x"], cwd=Path("/w"))


def test_the_etc_of_a_sandbox_is_for_everybody_to_read_and_tells_little(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        (tmp_path / "etc").mkdir()
        lay_out(tmp_path / "etc", 1234)
    finally:
        os.umask(before)

    made = {path.relative_to(tmp_path / "etc").as_posix() for path in tmp_path.rglob("etc/**/*")}
    assert "passwd" in made
    assert made.isdisjoint(
        {"shadow", "gshadow", "sudoers", "machine-id", "hostname", "ssl/private"}
    )
    assert "fixwurx:x:1234:1234::/tmp:/bin/sh" in (tmp_path / "etc" / "passwd").read_text()
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in (tmp_path / "etc").rglob("*"))
    assert (tmp_path / "etc" / "resolv.conf").read_text() == ""


def test_of_the_environment_only_what_tells_nothing_passes() -> None:
    host = {
        "PATH": "/root/.cargo/bin:/opt/venv/bin:/usr/bin::/bin", "HOME": "/root", "LANG": "C.UTF-8",
        "LC_ALL": "C", "AWS_SECRET_ACCESS_KEY": "x", "https_proxy": "http://u:p@h",
        "LD_PRELOAD": "x", "MODEL_KEY": "y",
    }  # fmt: skip
    sandbox = Sandbox(bwrap="bwrap", reads=("/opt/venv",), names=("MODEL_KEY",))

    env = sandbox.environment(host)
    env.pop("PYTHONUSERBASE", None)

    assert env == {
        "PATH": "/opt/venv/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C", "MODEL_KEY": "y",
        "HOME": "/tmp", "USER": "fixwurx", "LOGNAME": "fixwurx",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sandbox": "maybe"}, "FIXWURX_SANDBOX='maybe' must be one of auto, bwrap, off"),
        ({"sandbox_network": "yes"}, "FIXWURX_SANDBOX_NETWORK='yes' must be one of never, asked"),
        ({"sandbox_read": ("venvs",)}, "FIXWURX_SANDBOX_READ has 'venvs'"),
        ({"sandbox_read": ("/",)}, "never / itself"),
        ({"sandbox_read": ("/a/../..",)}, "by their whole path"),
        ({"sandbox_memory_mb": 1}, "FIXWURX_SANDBOX_MEMORY_MB=1 must lie between"),
        ({"sandbox_env": frozenset({"FIXWURX_REDIS_URL"})}, "FIXWURX_SANDBOX_ENV"),
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said.replace("'", ".")):
        Settings(**given)  # type: ignore[arg-type]


def test_settings_pass_through_the_environment() -> None:
    settings = Settings(sandbox_read=("/opt/venvs", "/srv/data"), sandbox_env=frozenset({"KEY"}))

    again = Settings.from_environment(settings.environment())

    assert again == settings
    assert settings.environment()["FIXWURX_SANDBOX_READ"] == "/opt/venvs:/srv/data"


def test_the_filter_of_system_calls_is_whole_instructions() -> None:
    if platform.machine() not in ARCHITECTURES:
        pytest.skip(f"no filter for {platform.machine()}")

    assert len(program()) % 8 == 0
    assert len(program()) // 8 < 256  # a jump's distance is a byte


V1 = "9:name=systemd:/\n8:pids:/a\n4:memory:/b/c\n1:cpu,cpuacct:/\n0::/\n"


def test_groups_are_made_below_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "ROOT", str(tmp_path))
    (tmp_path / "pids" / "a").mkdir(parents=True)
    (tmp_path / "memory").mkdir()  # a container sees its own group as the root

    assert cgroup.parents(V1) == [
        (f"{tmp_path}/pids/a", ("pids",)),
        (f"{tmp_path}/memory", ("memory",)),
    ]


@pytest.mark.parametrize(
    ("path", "controls", "expected"),
    [
        ("/app", {"app": "cpu"}, []),
        ("/app/main", {"app": "cpu memory pids", "app/main": ""}, ["app"]),
        ("/system.slice/app.service", {"system.slice": "memory pids"}, []),  # systemd's, not ours
        ("/", {"": "memory"}, [""]),
    ],
)
def test_of_version_2_only_what_was_left_to_us_is_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    controls: dict[str, str],
    expected: list[str],
) -> None:
    monkeypatch.setattr(cgroup, "ROOT", str(tmp_path))
    (tmp_path / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for folder, text in controls.items():
        (tmp_path / folder / "cgroup.subtree_control").write_text(f"{text}\n")

    found = [folder for folder, _ in cgroup.parents(f"0::{path}\n")]

    assert found == [str(tmp_path / folder) for folder in expected]


def test_only_groups_of_those_who_are_gone_are_removed(tmp_path: Path) -> None:
    ours, gone, others = (f"{cgroup.PREFIX}{os.getpid()}", f"{cgroup.PREFIX}99999999", "docker")
    for name in (ours, gone, others):
        (tmp_path / name).mkdir()

    cgroup.sweep(str(tmp_path))

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([ours, others])


def test_what_lies_in_folders_is_counted_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "a" / "out").symlink_to("/usr")
    (tmp_path / "a" / "round").symlink_to(".")

    assert 100_000 <= usage.size_of([str(tmp_path)], 1 << 40) < 200_000
