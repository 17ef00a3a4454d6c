"""nginx as an operator has it before Flower: unprivileged, on loopback, gone with the tests."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.server import end_with_parent, free_port
from tests.support.waiting import wait_until

__all__ = ["nginx"]

PATH: Final = f"{os.environ['PATH']}:/usr/sbin"
TEMPORARY: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextlib.contextmanager
def nginx(location: str) -> Iterator[int]:
    """The port of one whose only server has that location. Skips where there is none."""
    binary = shutil.which("nginx", path=PATH)
    if binary is None:
        pytest.skip("no nginx: apt-get install nginx")
    nobody = pwd.getpwnam("nobody")
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(prefix="ngx", dir="/tmp") as name:
        folder, port = Path(name), free_port()
        if is_root:
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        config, log = folder / "nginx.conf", folder / "log"
        config.write_text(_configuration(folder, port, location))
        line = [binary, "-e", "stderr", "-p", name, "-c", str(config)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                line, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                user=nobody.pw_uid if is_root else None, group=nobody.pw_gid if is_root else None,
                extra_groups=[] if is_root else None, preexec_fn=end_with_parent,
            )  # fmt: skip

        def listens() -> bool:
            assert process.poll() is None, f"nginx has ended:\n{log.read_text()[-3000:]}"
            return (folder / "pid").exists()

        try:
            wait_until(f"nginx listens; its configuration: {config}", listens, within_s=10)
            yield port
        finally:
            process.terminate()
            process.wait(timeout=10)


def _configuration(folder: Path, port: int, location: str) -> str:
    """No more around the location than nginx needs to run as nobody in particular."""
    folders = "".join(f"{name}_temp_path {folder}/{name};\n" for name in TEMPORARY)
    server = f"server {{\nlisten 127.0.0.1:{port};\n{location}}}\n"
    return (
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{folders}{server}}}\n"
    )
