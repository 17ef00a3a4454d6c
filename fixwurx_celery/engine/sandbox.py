"""The sandbox that commands of untrusted repositories run in: bubblewrap, and who they run as.

A plan, not a process: `Sandbox.argv` words a command so that it runs confined, and touches nothing.
What it gives: a root of its own with the system read-only and one writable place, a private /tmp,
processes, network and IPC of its own, no capabilities, a user that owns nothing else. What lies on
the host and is not named here is not there: no home, no other workspace, nothing of the node's.

    this process is root      bwrap builds the place as root, then the command becomes `uid`
    it is not                 bwrap builds it in a user namespace; the command keeps its user
"""

import os
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from fixwurx_celery.engine.etc import lay_out, mounted
from fixwurx_celery.engine.seccomp import program
from fixwurx_celery.settings import Settings

__all__ = ["UNCONFINED", "Sandbox", "SandboxError", "open_sandbox", "why_none", "why_unconfined"]

SYSTEM: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Beside /usr: links into it on most systems, folders on old ones."""
NAMES: Final = ("LANG", "LANGUAGE", "TZ", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONIOENCODING")
"""Variables that say how and not who: these pass, and LC_*; everything else may be a secret."""
FILTER_FD: Final = "4"
FIRST_UID: Final = 1 << 30
"""Far above what people, services and containers are given; the process id is added."""
NOBODY: Final = 65534
TMP: Final = "/tmp"  # noqa: S108 - the sandbox's own
PROBE_LIMIT_S: Final = 10.0
FOREVER_S: Final = 86_400.0


class SandboxError(RuntimeError):
    """Commands cannot be confined as the settings demand it; another node may do better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """How commands are confined. Without `bwrap` they are not."""

    bwrap: str = ""
    uid: int | None = None
    reads: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    memory_mb: int = 4096
    disk_mb: int = 4096
    processes: int = 1024
    may_network: bool = False
    has_network: bool = False
    own: str = ""

    def __bool__(self) -> bool:
        return bool(self.bwrap)

    def furnished(self, folder: Path) -> "Sandbox":
        """This one with an /etc and a filter of system calls, both of which lie in `folder`."""
        if not self:
            return self
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "etc").mkdir(exist_ok=True)
        lay_out(folder / "etc", os.getuid() if self.uid is None else self.uid)
        (folder / "seccomp").write_bytes(program())
        return replace(self, own=str(folder))

    def with_network(self, *, is_asked: bool) -> "Sandbox":
        """This one with the host's network, if that is asked for; raises where it may not be."""
        if not self or not is_asked:
            return self
        if not self.may_network:
            raise SandboxError(
                "the bug asks for network, which commands do not get on this node; give it "
                "FIXWURX_SANDBOX_NETWORK=asked, or a bug that needs none"
            )
        return replace(self, has_network=True)

    def give(self, path: Path) -> None:
        """Makes `path`, and what is in it, the user's that commands run as."""
        if self.uid is None:
            return
        os.chown(path, self.uid, self.uid, follow_symlinks=False)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(f"{folder}/{name}", self.uid, self.uid, follow_symlinks=False)

    def may_copy(self, place: Path) -> bool:
        """Whether what lies at `place` of the host may become a bug's source, for commands to read.
        Where they can read everything anyway, why not."""
        here = place.resolve()
        return not self or any(here.is_relative_to(Path(top).resolve()) for top in self.sources)

    def shows(self, path: Path) -> bool:
        """Whether commands can see what lies at `path` of the host."""
        seen = ("/usr", *SYSTEM, *self.reads)
        return not self or any(path.is_relative_to(top) for top in seen)

    def environment(self, host: Mapping[str, str]) -> dict[str, str]:
        """What of the environment `host` commands may see."""
        if not self:
            return dict(host)
        wanted = {*NAMES, *self.names}
        env = {
            name: value for name, value in host.items() if name in wanted or name.startswith("LC_")
        }
        path = [one for one in host.get("PATH", os.defpath).split(os.pathsep) if one]
        env["PATH"] = os.pathsep.join(one for one in path if self.shows(Path(one)))
        env |= {"HOME": TMP, "USER": "fixwurx", "LOGNAME": "fixwurx"}
        if site.ENABLE_USER_SITE and site.USER_BASE:
            env["PYTHONUSERBASE"] = site.USER_BASE
        return env

    def limits(self) -> dict[str, int] | None:
        """What a command may use with all that it starts; in bytes, and in number."""
        if not self:
            return None
        return {
            "memory": self.memory_mb << 20,
            "disk": self.disk_mb << 20,
            "processes": self.processes,
        }

    def argv(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        writes: Sequence[Path] = (),
        reads: Sequence[Path] = (),
        seconds: float | None = None,
        status_fd: int | None = None,
    ) -> list[str]:
        """`command` as it runs confined, in `cwd`, for at most `seconds` of each core.

        It can write below `writes`, and read below `reads` and what everybody sees. With
        `status_fd`, bwrap writes there how the command ended, and nothing when it never began.
        """
        if not self:
            return list(command)
        return [
            *self._filtered(),
            self.bwrap,
            *("--die-with-parent", "--new-session", "--unshare-ipc", "--unshare-pid"),
            *("--unshare-uts", "--unshare-cgroup-try", "--cap-drop", "ALL"),
            *(() if self.has_network else ("--unshare-net",)),
            *(("--json-status-fd", str(status_fd)) if status_fd is not None else ()),
            *(("--seccomp", FILTER_FD) if self._filtered() else ()),
            *self._user(),
            *self._system(),
            *self._places(reads=[*self.reads, *map(str, reads)], writes=[*map(str, writes)]),
            *("--remount-ro", "/", "--chdir", str(cwd), "--"),
            *self._becoming(),
            *self._limits_of_each(seconds),
            *command,
        ]

    def _filtered(self) -> Sequence[str]:
        """Opens the filter of system calls for bwrap, which takes it from nowhere else."""
        if not self.own or not program():
            return ()
        return ("/bin/sh", "-c", f'exec "$@" {FILTER_FD}<"$0"', f"{self.own}/seccomp")

    def _user(self) -> Iterator[str]:
        if self.uid is None:
            # Within it no further one can be made, which keeps much of the kernel out of reach.
            yield from ("--unshare-user", "--disable-userns")
        else:
            # To enter the folder, and to become the other user, by which all are given up.
            for name in ("CAP_DAC_READ_SEARCH", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
                yield from ("--cap-add", name)

    def _system(self) -> Iterator[str]:
        yield from ("--ro-bind", "/usr", "/usr")
        for name in SYSTEM:
            path = Path(name)
            if path.is_symlink():
                yield from ("--symlink", str(path.readlink()), name)
            elif path.is_dir():
                yield from ("--ro-bind", name, name)
        if self.own:
            yield from ("--ro-bind", f"{self.own}/etc", "/etc")
            for place in mounted(has_network=self.has_network):
                yield from ("--ro-bind", place, place)
        size = str((self.memory_mb << 20) // 4)
        yield from ("--proc", "/proc", "--dev", "/dev")
        for place in (TMP, "/dev/shm"):  # noqa: S108 - its own
            yield from ("--size", size, "--perms", "1777", "--tmpfs", place)
        yield from ("--remount-ro", "/dev", "--dir", "/run", "--dir", "/var")
        yield from ("--symlink", TMP, "/var/tmp")  # noqa: S108 - its own

    def _places(self, *, reads: Sequence[str], writes: Sequence[str]) -> Iterator[str]:
        shown = [Path(place) for place in ("/usr", *SYSTEM)]
        for how, places in (("--ro-bind-try", reads), ("--bind", writes)):
            mounted = list(shown) if places is reads else []
            for place in sorted({Path(place) for place in places}):
                if any(place.is_relative_to(top) for top in mounted):
                    continue  # two mounts, and nothing could be renamed from one to the other
                if not any(place.is_relative_to(top) for top in shown):
                    yield from folders_above(place)
                yield from (how, str(place), str(place))
                mounted.append(place)
                shown.append(place)

    def _becoming(self) -> Sequence[str]:
        if self.uid is None:
            return ()
        who = str(self.uid)
        return (
            *(tool("setpriv"), "--reuid", who, "--regid", who, "--clear-groups"),
            *("--inh-caps=-all", "--bounding-set=-all", "--"),
        )

    def _limits_of_each(self, seconds: float | None) -> Sequence[str]:
        cpu = int((seconds or FOREVER_S) * (os.cpu_count() or 1)) + 5
        return (
            *(tool("prlimit"), f"--data={self.memory_mb << 20}", f"--fsize={self.disk_mb << 20}"),
            *(f"--nproc={self.processes}", "--nofile=4096", "--core=0", f"--cpu={cpu}", "--"),
        )


UNCONFINED: Final = Sandbox()
"""Commands run as this process does, and see what it sees."""


def folders_above(place: Path) -> Iterator[str]:
    """Makes the folders in which `place` is to appear; bwrap would close them to all but root."""
    for folder in reversed(place.parents[:-1]):
        yield from ("--perms", "0755", "--dir", str(folder))


@cache
def tool(name: str) -> str:
    """Where the program is, looked for where a system has its own; its name when it is not."""
    return shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin") or name


def open_sandbox(settings: Settings, *sources: Path) -> Sandbox:
    """The sandbox that the settings name, for bugs that may also have a source in `sources`.

    Raises SandboxError when it is demanded and cannot be had.
    """
    if why_unconfined(settings):
        return UNCONFINED
    return Sandbox(
        bwrap=tool("bwrap"),
        uid=own_uid(),
        reads=(*interpreter(), *settings.sandbox_read),
        sources=(*settings.sandbox_read, *map(str, sources)),
        names=tuple(sorted(settings.sandbox_env)),
        memory_mb=settings.sandbox_memory_mb,
        disk_mb=settings.sandbox_disk_mb,
        may_network=settings.sandbox_network == "asked",
    )


def why_unconfined(settings: Settings) -> str:
    """Why commands run unconfined under these settings; empty when they do not.

    Raises SandboxError when they must not, and would.
    """
    if settings.sandbox == "off":
        return "FIXWURX_SANDBOX=off"
    why = why_none()
    if why and settings.sandbox == "bwrap":
        raise SandboxError(f"FIXWURX_SANDBOX=bwrap, and {why}")
    return why


def interpreter() -> tuple[str, ...]:
    """What the Python that runs this needs to run in the sandbox too, wherever it is installed."""
    places = [sys.prefix, sys.base_prefix]
    if site.ENABLE_USER_SITE and site.USER_SITE:
        places.append(site.USER_SITE)
    return tuple(dict.fromkeys(place for place in places if Path(place).is_dir()))


def own_uid() -> int | None:
    """Whom commands run as: a user that nothing else on this host is, where we may choose."""
    if os.getuid():
        return None
    uid = FIRST_UID + os.getpid()
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= uid < first + count:
            return uid
    return NOBODY


@cache
def why_none() -> str:
    """Why there can be no sandbox on this host; empty when there can. Tries it, once a process."""
    missing = [name for name in ("bwrap", "setpriv", "prlimit") if not Path(tool(name)).exists()]
    if missing:
        package = "bubblewrap" if "bwrap" in missing else "util-linux"
        return f"{' and '.join(missing)} not found; install {package}"
    plan = Sandbox(bwrap=tool("bwrap"), uid=own_uid(), reads=interpreter())
    try:
        with tempfile.TemporaryDirectory(prefix="fixwurx-") as folder:
            trial = plan.furnished(Path(folder))
            done = subprocess.run(
                trial.argv(["/bin/sh", "-c", "exit 0"], cwd=Path("/")),
                env=trial.environment(os.environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROBE_LIMIT_S,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return f"bwrap cannot be used here: {problem}"
    if done.returncode == 0:
        return ""
    said = " ".join(done.stderr.decode(errors="replace").split()) or f"exit {done.returncode}"
    return (
        f"bwrap cannot be used here ({said}); it must be 0.8 or later, and the host, or its "
        "container, must allow user namespaces (docs/security.md)"
    )
