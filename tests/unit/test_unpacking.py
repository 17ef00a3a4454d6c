"""Archives made to hurt whoever unpacks them."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from fixwurx_celery.cli.sources import pack
from fixwurx_celery.engine import unpacking
from fixwurx_celery.engine.unpacking import BadArchive, unpack
from tests.support.engine_repos import write_tree


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0
) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size
    return made


def archive(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        for one in members:
            made.addfile(one, io.BytesIO(b"x" * one.size))
    return buffer.getvalue()


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_packed_folder_comes_out_as_it_went_in(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"a/b.py": "x = 1\n", "run.sh": "true\n"})
    (tree / "run.sh").chmod(0o755)
    (tree / "empty").mkdir()
    (tree / "a" / "alias.py").symlink_to("b.py")

    unpack(pack(tree), tmp_path / "out")

    assert everything(tmp_path / "out") == everything(tree)
    assert (tmp_path / "out" / "a" / "alias.py").read_text() == "x = 1\n"
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out" / "a" / "b.py").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "members",
    [
        [member("../escaped")],
        [member("a/../../escaped")],
        [member("/tmp/escaped-fixwurx")],
        [member("link", tarfile.SYMTYPE, ".."), member("link/escaped", size=1)],
        [member("link", tarfile.SYMTYPE, "/tmp"), member("link/escaped-fixwurx", size=1)],
        [member("a", tarfile.SYMTYPE, "."), member("a/b", tarfile.SYMTYPE, ".."),
         member("a/b/escaped", tarfile.SYMTYPE, "x")],
        [member("file", tarfile.SYMTYPE, "../secret"), member("file", size=6)],
        [member("hard", tarfile.LNKTYPE, "../secret")],
        [member("pipe", tarfile.FIFOTYPE)],
        [member("disk", tarfile.BLKTYPE)],
    ],
    ids=lambda members: members[-1].name + "-" + str(members[-1].type, "ascii"),
)  # fmt: skip
def test_nothing_lands_outside_and_no_link_is_followed(
    tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    (tmp_path / "secret").write_text("secret")

    try:
        unpack(archive(*members), tmp_path / "out")
    except (BadArchive, OSError):
        pass
    else:  # what came out is a tree of its own, in which a file is in the place of the folder
        assert not any(path.is_symlink() for path in (tmp_path / "out").glob("*"))

    assert [name for name in everything(tmp_path) if not name.startswith("out")] == ["secret"]
    assert (tmp_path / "secret").read_text() == "secret"
    assert not Path("/tmp/escaped-fixwurx").exists()


def test_a_chain_of_links_longer_than_any_path_leads_nowhere(tmp_path: Path) -> None:
    # Python's own filter lost its way here, and let the last of them through (CVE-2025-4517).
    folder = "d" * 247
    members, steps = [], "abcdefghijklmnop"
    path = ""
    for step in steps:
        members.append(member(f"{path}{folder}", tarfile.DIRTYPE))
        members.append(member(f"{path}{step}", tarfile.SYMTYPE, folder))
        path += f"{folder}/"
    long = "/".join(steps)
    members.append(member(f"{long}/{'l' * 254}", tarfile.SYMTYPE, "../" * len(steps)))
    members.append(member("escape", tarfile.SYMTYPE, f"{long}/{'l' * 254}/../../escaped"))
    members.append(member("escape", size=6))

    with pytest.raises((BadArchive, OSError)):
        unpack(archive(*members), tmp_path / "out")

    assert not list(tmp_path.glob("**/escaped"))
    assert not (tmp_path.parent / "escaped").exists()


def test_an_archive_that_unzips_to_more_than_it_may_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "MAX_UNPACKED_BYTES", 1 << 20)

    with pytest.raises(BadArchive, match="leave out what the bug does not need"):
        unpack(archive(*(member(f"f{n}", size=300 << 10) for n in range(4))), tmp_path / "out")

    used = sum(file.stat().st_size for file in (tmp_path / "out").iterdir())
    assert used <= 1 << 20


def test_a_name_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    raw = tarfile.TarInfo("x")
    raw.type, raw.size = tarfile.XHDTYPE, 1 << 33
    data = gzip.compress(raw.tobuf(format=tarfile.GNU_FORMAT) + b"\0" * (4 << 20))

    with pytest.raises(BadArchive, match="MiB"):
        unpack(data, tmp_path / "out")


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 10)

    with pytest.raises(BadArchive, match="10 files"):
        unpack(archive(*(member(f"f{n}") for n in range(20))), tmp_path / "out")

    assert len(everything(tmp_path / "out")) <= 10
