"""Flower's templates with one more tab, and our own beside them."""

from pathlib import Path
from typing import Any, Final

from tornado.template import Loader, Template

__all__ = ["TabLoader"]

FOLDER: Final = Path(__file__).parent / "templates"
NAVBAR: Final = "navbar.html"
END_OF_TABS: Final = "</ul>"
TAB: Final = """\
        <li class="nav-item">
          <a class="nav-link{% if active_tab == 'cluster' %} active{% end %}"
            href="{{ reverse_url('cluster') }}"
            {% if active_tab == 'cluster' %}aria-current="page"{% end %}>Cluster</a>
        </li>
      """


class TabLoader(Loader):
    """Takes our templates first, then Flower's; its list of tabs has no hook, so one is put in."""

    def __init__(self, folder_of_flower: str, **options: Any) -> None:
        super().__init__(folder_of_flower, **options)

    def _create_template(self, name: str) -> Template:
        ours = FOLDER / name
        source = (ours if ours.is_file() else Path(self.root) / name).read_text("utf-8")
        if name == NAVBAR:
            source = with_tab(source)
        return Template(source, name=name, loader=self)


def with_tab(navbar: str) -> str:
    """The navigation with our tab as its last one. Raises ValueError when it has no list of tabs,
    as another release line of Flower might."""
    if END_OF_TABS not in navbar:
        raise ValueError("Flower's navigation has no list of tabs; is this Flower 2.2?")
    return navbar.replace(END_OF_TABS, TAB + END_OF_TABS, 1)
