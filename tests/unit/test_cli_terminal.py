"""What is done with a terminal, and what is left alone."""

import io
import itertools
from typing import Final

import pytest

from fixwurx_celery.cli import terminal
from fixwurx_celery.cli.running import clock_face
from fixwurx_celery.cli.terminal import STYLES, fitting, is_live, shortened, styled, styled_word

Colour = tuple[int, int, int]

# As the terminals' sources have them, with their own backgrounds and those that people give them.
PALETTES: Final[dict[str, dict[str, Colour]]] = {
    "xterm": {"red": (205, 0, 0), "green": (0, 205, 0), "magenta": (205, 0, 205)},
    "vga": {"red": (170, 0, 0), "green": (0, 170, 0), "magenta": (170, 0, 170)},
    "tango": {"red": (204, 0, 0), "green": (78, 154, 6), "magenta": (117, 80, 123)},
}
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "CI", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize(
    ("variables", "live"),
    [
        ({}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": ""}, False),
        ({"TERM": "unknown"}, False),
        ({"CI": "true"}, False),
        ({"CI": "1"}, False),
        ({"CI": "false"}, True),
        ({"NO_COLOR": "1"}, True),
    ],
)
def test_a_terminal_is_drawn_over_where_somebody_sees_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], live: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert is_live(Tty()) is live
    assert not is_live(io.StringIO())


def test_styles_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert styled_word(" FIXED ", Tty()) == "\x1b[32m FIXED \x1b[0m"
    assert styled_word("RUNNING", Tty()) == "RUNNING"
    assert styled("x", "", Tty()) == "x"
    assert styled_word("FIXED", io.StringIO()) == "FIXED"

    monkeypatch.setenv("NO_COLOR", "1")
    assert all(styled("x", style, Tty()) == "x" for style in STYLES)


def luminance(colour: Colour) -> float:
    parts = [part / 255 for part in colour]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Colour, other: Colour) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_colour_is_read_on_black_and_on_white() -> None:
    colours = {style["fg"] for style in STYLES.values() if "fg" in style}
    assert colours <= set(PALETTES["xterm"])

    for palette, colour in itertools.product(PALETTES, colours):
        for background in (BLACK, WHITE):
            assert contrast(PALETTES[palette][colour], background) > 2, (palette, colour)


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (None, "3 nodes, 9 busy, 12 waiting"),
        (27, "3 nodes, 9 busy, 12 waiting"),
        (26, "9 busy, 12 waiting"),
        (17, "9 busy"),
        (4, "9 b…"),
    ],
)
def test_of_a_line_the_least_important_parts_go_first(width: int | None, line: str) -> None:
    parts = [(2, "3 nodes"), (0, "9 busy"), (1, "12 waiting"), (3, "")]

    assert fitting(parts, width) == line


@pytest.mark.parametrize(
    ("text", "width", "cells"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("修正済み", 5, "修正…"), ("修正済み", 4, "修 …")],
)
def test_a_text_is_cut_by_what_its_characters_take(text: str, width: int, cells: str) -> None:
    assert shortened(text, width) == cells
    assert terminal.cell_len(cells) <= width


@pytest.mark.parametrize(
    ("seconds", "face"),
    [
        (-1, "0:00"), (0.9, "0:00"), (7, "0:07"), (65, "1:05"), (3600, "1:00:00"),
        (7389, "2:03:09"), (172_799, "47:59:59"), (187_200, "2 d 4 h"),
    ],
)  # fmt: skip
def test_a_clock_is_read_at_a_glance(seconds: float, face: str) -> None:
    assert clock_face(seconds) == face
