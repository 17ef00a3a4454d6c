"""What a repository that means harm tries. Each line that it prints after `GOT` is a success.

    python hostile.py ATTACK TARGET...

Standard library only, in any Python 3: it runs as the test of a repository would.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import time


def got(what):
    print("GOT", what, flush=True)


def read(*files):
    for file in files:
        with contextlib.suppress(OSError), open(file, "rb") as stream:
            stream.read(1)
            got(file)


def list_(*folders):
    for folder in folders:
        with contextlib.suppress(OSError):
            if os.listdir(folder):
                got(folder)


def write(*folders):
    for folder in folders:
        with contextlib.suppress(OSError):
            with open(os.path.join(folder, "planted"), "w") as stream:
                stream.write("x")
            got(folder)


def connect(*places):
    for place in places:
        host, _, port = place.rpartition(":")
        with contextlib.suppress(OSError):
            socket.create_connection((host, int(port)), timeout=2).close()
            got(place)
        with contextlib.suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.sendto(b"x", (host, int(port)))
            got("udp " + place)


def unix(*paths):
    for path in paths:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as one:
            one.connect(path.replace("@", "\0", 1))
            got(path)


def kill(*pids):
    for pid in [os.getppid(), *map(int, pids)]:
        with contextlib.suppress(OSError):
            os.kill(pid, 0)
            if pid != 1:
                got("signal %d" % pid)
    own = os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in (own, 1):
            with contextlib.suppress(OSError), open("/proc/%s/cmdline" % name, "rb") as stream:
                if own != int(name) and b"hostile.py" not in stream.read():
                    got("sees %s" % name)


def trace(*pids):
    libc = ctypes.CDLL(None, use_errno=True)
    for pid in map(int, pids):
        if libc.ptrace(16, pid, 0, 0) == 0:  # PTRACE_ATTACH
            got("ptrace %d" % pid)
            os.waitpid(pid, 0)
            libc.ptrace(17, pid, 0, 0)  # PTRACE_DETACH
        with contextlib.suppress(OSError), open("/proc/%d/mem" % pid, "r+b", 0):
            got("mem %d" % pid)
        with contextlib.suppress(OSError), open("/proc/%d/environ" % pid, "rb") as stream:
            if b"SECRET" in stream.read():
                got("environ %d" % pid)


def environ(*words):
    for name, value in os.environ.items():
        if any(word in name or word in value for word in words):
            got(name)


def privileges():
    with open("/proc/self/status") as stream:
        status = dict(line.split(":", 1) for line in stream)
    if int(status["CapEff"], 16) or int(status["CapBnd"], 16):
        got("capabilities")
    if status["NoNewPrivs"].strip() != "1":
        got("new privileges")
    if os.getuid() == 0:
        got("root")
    libc = ctypes.CDLL(None, use_errno=True)
    for name, flag in (("user", 0x10000000), ("mount", 0x20000), ("net", 0x40000000)):
        if os.fork() == 0:
            if libc.unshare(flag) == 0:
                got("%s namespace" % name)
            os._exit(0)
        os.wait()
    for name, number in (("keys", 250), ("bpf", 321), ("perf", 298), ("io_uring", 425)):
        if os.uname().machine == "x86_64" and libc.syscall(number, 0, 0, 0, 0, 0) >= 0:
            got(name)
        elif ctypes.get_errno() not in (1, 38):  # it came further than the filter
            got("%s: %s" % (name, os.strerror(ctypes.get_errno())))


def daemon(mark):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.execvp("sleep", ["sleep", mark])
        os._exit(0)
    os.wait()
    time.sleep(0.2)
    got("daemon")


def forks():
    born = 0
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            if os.fork() == 0:
                time.sleep(1000)
                os._exit(0)
            born += 1
        except OSError:
            got("%d processes" % born)
            time.sleep(1000)


def memory(how):
    held = []
    if how == "shared":
        while True:  # nothing of it is mapped, and no process seems to grow
            held.append(os.memfd_create("x"))
            os.write(held[-1], b"x" * (16 << 20))
    if how == "one":
        held = bytearray(1 << 40)
    if how == "many":
        for _ in range(20):
            if os.fork() == 0:
                while True:
                    with contextlib.suppress(MemoryError):
                        held.append(bytearray(8 << 20))
                    time.sleep(0.01)
    time.sleep(1000)


def disk(how):
    if how == "one":
        with open("file", "wb") as stream:
            while True:
                stream.write(b"x" * (1 << 20))
    for number in range(100_000):
        stream = open("file-%d" % number, "wb")
        stream.write(b"x" * (4 << 20))
        stream.flush()
        if how == "nameless":
            os.unlink(stream.name)
            globals().setdefault("kept", []).append(stream)


if __name__ == "__main__":
    print("began", flush=True)
    {"list": list_}.get(sys.argv[1], globals().get(sys.argv[1]))(*sys.argv[2:])
    print("ended", flush=True)
