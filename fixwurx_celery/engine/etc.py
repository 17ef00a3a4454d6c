"""The /etc of a sandbox: what programs read to work at all, and never all of the host's, where
services keep passwords.

Laid out once for an attempt, with small files copied, because each mount costs every command a
tenth of a millisecond or more. Folders and what may change meanwhile are mounted over it.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["lay_out", "mounted"]

ETC: Final = Path("/etc")
FILES: Final = (
    "ca-certificates.conf", "ld.so.cache", "localtime", "magic", "mime.types", "os-release",
    "protocols", "services", "ssl/openssl.cnf", "timezone",
)  # fmt: skip
FOLDERS: Final = ("alternatives", "fonts", "pki/ca-trust", "pki/tls/certs", "ssl/certs")
OF_NETWORK: Final = ("gai.conf", "host.conf", "hosts", "resolv.conf")


def lay_out(folder: Path, uid: int) -> None:
    """Makes `folder` such an /etc, for a user of that number called fixwurx."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ETC / name).is_file():
            shutil.copyfile(ETC / name, folder / name)
    own = {
        "passwd": f"root:x:0:0::/:/bin/sh\nfixwurx:x:{uid}:{uid}::/tmp:/bin/sh\n",
        "group": f"root:x:0:\nfixwurx:x:{uid}:\n",
        "hosts": "127.0.0.1 localhost\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }
    for name, text in own.items():
        (folder / name).write_text(text)
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in OF_NETWORK:
        (folder / name).touch()
    for path, folders, files in os.walk(folder):  # whatever this process hides from others
        for name in folders:
            Path(path, name).chmod(0o755)
        for name in files:
            Path(path, name).chmod(0o644)
    folder.chmod(0o755)


def mounted(*, has_network: bool) -> Sequence[str]:
    """What of the host is mounted over it, by its name there."""
    names = [name for name in FOLDERS if (ETC / name).is_dir()]
    names += [name for name in OF_NETWORK if has_network and (ETC / name).is_file()]
    return [f"/etc/{name}" for name in names]
