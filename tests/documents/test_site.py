"""The documents: the site builds without a warning, and every command they show exists."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from fixwurx_celery.cli import cli
from tests.support.documented import blocks, pages, prose
from tests.support.surroundings import ROOT

INLINE = re.compile(r"`(fixwurx-celery [^`\n]+)`")


def commands(page: str) -> Iterator[str]:
    """Each `fixwurx-celery ...` that the page shows, in a block or in a sentence."""
    for block in blocks(page):
        if block.kind in ("sh", "console", ""):
            for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
                for part in re.split(r"\s(?:&&|\|\|?|;)\s", line.strip().removeprefix("$ ")):
                    if part.startswith("fixwurx-celery "):
                        yield part
    for _, line in prose(page):
        yield from (" ".join(one.split()) for one in INLINE.findall(line))


def checked(command: str) -> None:
    """Raises click's error for a command or an option that there is not. Nothing is run."""
    words = shlex.split(command, comments=True)[1:]
    words = [word for word in words if word not in ("…", "...", "&", "[OPTIONS]")]
    at: click.Command = cli
    context = click.Context(cli, info_name="fixwurx-celery")
    while isinstance(at, click.Group) and words and not words[0].startswith("-"):
        found = at.get_command(context, words[0])
        if found is None:
            if re.fullmatch(r"[a-z]+(\|[a-z]+)+", words[0]):  # `scale plan|history|explain`
                for name in words[0].split("|"):
                    assert at.get_command(context, name), f"no command {name}"
                return
            raise click.UsageError(f"no command {words[0]!r}")
        at, context = found, click.Context(found, info_name=words[0], parent=context)
        words = words[1:]
    known = {name for param in at.params for name in (*param.opts, *param.secondary_opts)}
    known |= {"--help", "--version"}
    for word in words:
        if re.match(r"--?[a-z]", word) and at.name != "flower":  # which takes Flower's options too
            name = word.partition("=")[0]
            assert name in known, f"no option {name}; there are {sorted(known)}"


@pytest.mark.parametrize("page", pages())
def test_every_command_in_it_exists(page: str) -> None:
    for command in commands(page):
        try:
            checked(command)
        except (AssertionError, click.ClickException, ValueError) as error:
            pytest.fail(f"`{command}`: {error}")


def test_commands_are_found_and_wrong_ones_noticed() -> None:
    found = [command for page in pages() for command in commands(page)]
    assert len(found) > 60
    for wrong in ("fixwurx-celery rum x", "fixwurx-celery run --nodez 3", "fixwurx-celery bug sho"):
        with pytest.raises((AssertionError, click.ClickException)):
            checked(wrong)


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")],
        cwd=ROOT, capture_output=True, text=True, timeout=100,
    )  # fmt: skip

    assert built.returncode == 0, built.stderr
    pages = {str(page.relative_to(tmp_path / "site")) for page in tmp_path.rglob("*.html")}
    assert {
        "index.html",
        "tutorial.html",
        "measured.html",
        "decisions/0001-doorbells.html",
    } <= pages
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text("utf-8")
        fetched = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:)?//([^"/]+)', text)
        assert not [host for _, host in fetched], f"{page.name} fetches from {fetched}"
