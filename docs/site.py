"""What mkdocs needs to know of this folder: some pages lie elsewhere in the repository.

The links in the files are right where they lie, so that they work when a file is read there; on the
site they lead to the pages made of those files.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
ELSEWHERE = {
    "index.md": "README.md",
    "changes.md": "CHANGELOG.md",
    "examples.md": "examples/README.md",
    "measured.md": "bench/RESULTS.md",
}
"""Pages of the site, with the files that they are made of."""
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that lie elsewhere."""
    for page, source in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Has every link lead to a page of the site; what has none is shown without a link."""
    name = page.file.src_uri
    here = (ROOT / ELSEWHERE.get(name, f"docs/{name}")).parent
    pages = {source: made for made, source in ELSEWHERE.items()}
    depth = name.count("/")

    def lead(found: re.Match[str]) -> str:
        target = (here / found[1]).resolve()
        if not target.is_relative_to(ROOT):
            return found[0]
        inside = str(target.relative_to(ROOT))
        if inside == "docs/decisions":
            inside = "docs/decisions/0001-doorbells.md"
        if inside in pages:
            made = pages[inside]
        elif inside.startswith("docs/"):
            made = inside.removeprefix("docs/")
        else:
            return "]" if target.exists() else found[0]
        return f"]({'../' * depth}{made}{found[2] or ''})"

    # A link to what is not on the site loses its brackets too.
    written = LINK.sub(lead, markdown)
    return re.sub(r"\[([^\]\[]+)\](?![(\[:])", lambda one: _plain(one, markdown), written)


def _plain(found: re.Match[str], markdown: str) -> str:
    """The words alone, where brackets were a link's; as it was, where they were not."""
    return found[1] if f"[{found[1]}](" in markdown else found[0]
