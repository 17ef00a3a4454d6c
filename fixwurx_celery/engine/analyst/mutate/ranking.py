"""Which edit to try first: how suspicious its line is, times how usual its kind of defect is."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from fixwurx_celery.engine.analyst.mutate.edit import Edit

CROWDING = 0.08  # each further edit of one kind on one line counts this much less
FLOOR = 0.03  # a line that no failing test touched is tried last, not never


def ranked(
    edits: Iterable[Edit],
    suspicion: Mapping[tuple[str, int], float],
    limit: int,
) -> Sequence[tuple[float, Edit]]:
    """Return the edits with their scores, best first; equal edits once; at most `limit`.

    Edits of one kind on one line discount each other, so that the best edits of every suspicious
    line come before the long tail of any.
    """
    best: dict[tuple[str, int, int, str], Edit] = {}
    for edit in edits:
        key = (edit.path, edit.start, edit.end, edit.text)
        known = best.get(key)
        if known is None or known.weight < edit.weight:
            best[key] = edit
    groups: dict[tuple[str, int, str], list[Edit]] = defaultdict(list)
    for edit in best.values():
        groups[edit.path, edit.line, edit.kind].append(edit)
    scored: list[tuple[float, Edit]] = []
    for group in groups.values():
        group.sort(key=lambda edit: (-edit.weight, edit.start, edit.text))
        for index, edit in enumerate(group):
            weight = suspicion.get((edit.path, edit.line), FLOOR)
            score = max(weight, FLOOR) * edit.weight / (1.0 + CROWDING * index)
            scored.append((score, edit))
    scored.sort(key=lambda pair: (-pair[0], pair[1].path, pair[1].start, pair[1].text))
    return scored[:limit]
