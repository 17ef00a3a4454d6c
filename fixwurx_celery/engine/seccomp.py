"""The system calls that confined commands do without, as a filter for the kernel.

Those that any user may make, that tests of programs hardly ever need, and by which one gets at much
of the kernel's code: new namespaces (in which one is root), keys, programs for the kernel, its
counters, rings. A test that needs one of them sees that it is not permitted, or does not exist.
"""

import errno
import platform
import struct
from collections.abc import Mapping
from typing import Final

__all__ = ["program"]

NEW_NAMESPACES: Final = 0x7E020080  # CLONE_NEW*; the last digit's 8 is NEWTIME, for `unshare` alone
ARCHITECTURES: Final[Mapping[str, tuple[int, Mapping[str, int]]]] = {
    "x86_64": (
        0xC000003E,
        {
            "clone": 56, "unshare": 272, "setns": 308, "add_key": 248, "request_key": 249,
            "keyctl": 250, "perf_event_open": 298, "bpf": 321, "userfaultfd": 323,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "clone": 220, "unshare": 97, "setns": 268, "add_key": 217, "request_key": 218,
            "keyctl": 219, "perf_event_open": 241, "bpf": 280, "userfaultfd": 282,
        },
    ),
}  # fmt: skip
"""The kernel's name for the architecture, and the numbers of its calls."""
NOT_THERE: Final = (425, 426, 427, 435)
"""io_uring and clone3, of the same numbers everywhere: programs go on with what was before them."""
OTHER_NUMBERS: Final = 0x40000000
"""From here on x86_64 has every call again."""

LOAD, JUMP_EQUAL, JUMP_ABOVE, JUMP_ANY, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
ALLOW, REFUSE = 0x7FFF0000, 0x00050000


def program() -> bytes:
    """The filter for this machine; empty where its calls are not known."""
    if platform.machine() not in ARCHITECTURES:
        return b""
    name, numbers = ARCHITECTURES[platform.machine()]
    lines = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, name),
        (RETURN, 0, 0, REFUSE | errno.ENOSYS),
        (LOAD, 0, 0, NUMBER),
        (JUMP_ABOVE, 0, 1, OTHER_NUMBERS),
        (RETURN, 0, 0, REFUSE | errno.ENOSYS),
    ]
    for number in NOT_THERE:
        lines += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE | errno.ENOSYS)]
    for call in numbers.keys() - {"clone", "unshare"}:
        lines += [(JUMP_EQUAL, 0, 1, numbers[call]), (RETURN, 0, 0, REFUSE | errno.EPERM)]
    for call, flags in (("clone", NEW_NAMESPACES & ~0xFF), ("unshare", NEW_NAMESPACES)):
        lines += [
            (JUMP_EQUAL, 0, 4, numbers[call]),
            (LOAD, 0, 0, FIRST_ARGUMENT),
            (JUMP_ANY, 0, 1, flags),
            (RETURN, 0, 0, REFUSE | errno.EPERM),
            (RETURN, 0, 0, ALLOW),
        ]
    lines.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
