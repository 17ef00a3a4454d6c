"""A process that has paid for an interpreter and pytest once, and forks a child for each run.

Runs under the interpreter of the program being repaired, so it imports nothing but the standard
library and that interpreter's own pytest. It owns a private copy of the tree: a run writes its
sources there, forks, and puts the originals back. Where the fork happens decides what is shared:

    late    inside pytest's collection: configuration, plugins and initial conftests are shared
    early   after `import pytest`: for projects whose conftest imports what is under edit
    bare    before `import pytest`: for projects that pytest itself imports

The host refuses ("shared") a level at which a file under edit is already imported, and its owner
starts it again one level lower. Requests and replies are JSON lines on stdin and stdout.
"""

import contextlib
import ctypes
import gc
import importlib
import importlib.util
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
FILE_BYTES = 256 << 20  # an endless print must not fill the disk


def die_with_parent(expected_parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies, also if that just happened."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != expected_parent:
        os._exit(1)


class Host:
    """The serving side: reads requests, forks, watches one child at a time, replies."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.root = Path(spec["root"])
        self.requests = os.fdopen(os.dup(0), "rb", buffering=0)
        self.replies = os.dup(1)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.close(null)
        self.buffer = b""
        self.pipe = -1
        self.child = 0
        self.originals: dict[Path, bytes] = {}
        self.request: dict[str, Any] = {}

    def reply(self, **fields: Any) -> None:
        """Tell the owner something."""
        data = json.dumps(fields).encode() + b"\n"
        while data:
            data = data[os.write(self.replies, data) :]

    def shared(self) -> bool:
        """Whether a file under edit was already imported, so that children would not see edits."""
        edited = {os.path.realpath(self.root / name) for name in self.spec["edited"]}
        return any(
            os.path.realpath(file) in edited
            for module in list(sys.modules.values())
            if isinstance(file := getattr(module, "__file__", None), str)
        )

    def serve(self) -> dict[str, Any]:
        """Answer requests for ever; returns only in a forked child, with the run it is to do."""
        if self.shared():
            self.reply(event="shared")
            os._exit(0)
        gc.collect()
        gc.freeze()
        self.reply(event="ready")
        while True:
            while b"\n" not in self.buffer:
                chunk = self.requests.read(1 << 16)
                if not chunk:
                    self.end()
                self.buffer += chunk
            line, self.buffer = self.buffer.split(b"\n", 1)
            request: dict[str, Any] = json.loads(line)
            if request["op"] == "preload":
                self.preload(request["modules"])
                continue
            read_end, self.pipe = os.pipe()
            self.install(request["sources"])
            parent = os.getpid()
            started = time.monotonic()
            pid = os.fork()
            if pid == 0:
                os.close(read_end)
                self.become_child(request, parent)
                return request
            self.child = pid
            os.close(self.pipe)
            with contextlib.suppress(OSError):
                os.setpgid(pid, pid)
            result = self.watch(pid, read_end, started + request["wall"])
            self.child = 0
            self.bury()
            result["seconds"] = time.monotonic() - started
            self.restore()
            self.reply(event="done", id=request["id"], **result)

    def end(self, *_: Any) -> NoReturn:
        """Kill the run under way with all that it started, and leave."""
        if self.child:
            with contextlib.suppress(OSError):
                os.killpg(self.child, signal.SIGKILL)
        self.bury()
        os._exit(1)

    def bury(self) -> None:
        """Kill what runs left behind, whatever its process group: orphans come to this process."""
        children = Path(f"/proc/self/task/{os.getpid()}/children")
        for _ in range(50):
            with contextlib.suppress(OSError):
                left = [int(word) for word in children.read_text().split()]
                if not left:
                    return
                for pid in left:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
                        os.waitpid(pid, 0)

    def preload(self, modules: list[str]) -> None:
        """Import what every child would import anyway and that does not belong to the tree."""
        for name in modules:
            with contextlib.suppress(BaseException):
                importlib.import_module(name)
        gc.freeze()

    def install(self, sources: dict[str, str]) -> None:
        """Write the sources of a run, and see to it that no stale bytecode hides them."""
        for name, text in sources.items():
            path = self.root / name
            self.originals.setdefault(path, path.read_bytes())
            path.write_bytes(text.encode())
        for name in self.spec["edited"]:
            with contextlib.suppress(OSError, ValueError):
                Path(importlib.util.cache_from_source(str(self.root / name))).unlink()

    def restore(self) -> None:
        """Put the original sources back, and empty the folder of temporary files."""
        for path, data in self.originals.items():
            path.write_bytes(data)
        self.originals.clear()
        for entry in Path(self.spec["temporary"]).iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)

    def become_child(self, request: dict[str, Any], parent: int) -> None:
        """Leave the group of the server, close its pipes, and take on limits."""
        self.request = request
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        die_with_parent(parent)
        self.requests.close()
        os.close(self.replies)
        os.chdir(self.spec["cwd"])
        sys.dont_write_bytecode = not request["write_bytecode"]
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        wanted = pages * resource.getpagesize() + self.spec["memory"]
        resource.setrlimit(
            resource.RLIMIT_AS,
            (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard),
        )
        self.arm()

    def arm(self) -> None:
        """Start the processor-time limit over; the kernel's default action kills, no handler."""
        signal.setitimer(signal.ITIMER_PROF, self.request["cpu"])

    def watch(self, pid: int, read_end: int, deadline: float) -> dict[str, Any]:
        """Collect what the child says until it is dead; it is killed, with its group, if late."""
        lines = b""
        handle = os.pidfd_open(pid)
        late = False
        open_ends = [read_end, handle]
        while handle in open_ends:
            left = deadline - time.monotonic()
            ready, _, _ = select.select(open_ends, [], [], max(0.0, left))
            if read_end in ready:
                chunk = os.read(read_end, 1 << 16)
                lines += chunk
                if not chunk:
                    open_ends.remove(read_end)
            elif handle in ready:
                open_ends.remove(handle)
            elif left <= 0:
                late = True
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
                deadline += 5
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(handle)
        os.close(read_end)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
            late = True
        says = []
        for line in lines.split(b"\n"):
            with contextlib.suppress(ValueError):
                says.append(json.loads(line))
        return {"late": late, "says": says}

    # What a child does.

    def say(self, **fields: Any) -> None:
        """Tell the server something, from a child."""
        os.write(self.pipe, json.dumps(fields).encode() + b"\n")

    def leave(self, verdict: str, **fields: Any) -> NoReturn:
        """End the child at once; what its tests left open dies with its process group."""
        self.say(verdict=verdict, **fields)
        os._exit(0)


def beside(name: str) -> Any:
    """Return a module that lies next to this file, which is on no search path."""
    spec = importlib.util.spec_from_file_location(
        f"_{name}", Path(__file__).with_name(f"{name}.py")
    )
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Set up the interpreter as `python -m pytest` would have it, then serve."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    host = Host(spec)
    signal.signal(signal.SIGTERM, host.end)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    keep = {*sys.builtin_module_names, "__main__", "os"}
    os.chdir(spec["cwd"])
    if spec["cwd_on_path"]:
        sys.path[0] = spec["cwd"]
    else:
        del sys.path[0]
    for name in spec["edited"]:
        # a project may call its module like one of the library's: the project's must win
        path = Path(name)
        if host.root / path.parent == Path(spec["cwd"]) and path.stem not in keep:
            sys.modules.pop(path.stem, None)
    sys.argv = ["pytest", *spec["args"]]
    level = spec["level"]
    if level == "bare":
        host.serve()
    import pytest

    if level == "early":
        importlib.import_module("_pytest.assertion.rewrite")
        host.serve()
    plugin = beside("warm_reporter").Reporter(host, pytest, beside, late=level == "late")
    code = pytest.main(spec["args"], plugins=[plugin])
    if host.request:
        host.leave("fail", phase="main", code=int(code))
    host.reply(event="refused", code=int(code))


if __name__ == "__main__":
    main()
