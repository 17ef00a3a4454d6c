import subprocess
from pathlib import Path

import pytest

from fixwurx_celery.engine.analyst.mutate import makers
from fixwurx_celery.engine.analyst.mutate.edit import Edit, unified_diff
from fixwurx_celery.engine.analyst.mutate.ranking import ranked
from fixwurx_celery.engine.analyst.mutate.source import Source

# Each: a function with one wrong place marked <<wrong|right>>; either side may be empty.
DEFECTS = {
    "comparison boundary": "def f(a, b):\n    while a <<<|<=>> b:\n        a += 1\n    return a\n",
    "operator": "def f(a, b):\n    return a <<-|+>> b\n",
    "boolean operator": "def f(a, b):\n    return a > 1 <<or|and>> b > 1\n",
    "constant": "def f(a):\n    return a[<<1|0>>]\n",
    "off by one": "def f(a):\n    return [a[i] for i in range(<<len(a)|len(a) - 1>>)]\n",
    "slice bound": "def f(a, k):\n    return a[<<:k|k:>>]\n",
    "variable": "def f(low, high):\n    mid = (low + high) // 2\n    return <<low|mid>>\n",
    "attribute": "def f(t):\n    return f(t.left) + f(t.<<left|right>>)\n",
    "swapped arguments": "def f(a, b):\n    return divmod(<<b, a|a, b>>)\n",
    "argument dropped": "def f(n, memo):\n    return f(<<n - 1|n - 1, memo>>)\n",
    "dimensions": "def f(m, i, j):\n    return m<<[j][i]|[i][j]>>\n",
    "swapped targets": "def f(a, b):\n    <<b, a|a, b>> = a, b\n    return a\n",
    "inverted condition": "def f(a):\n    if <<not a|a>>:\n        return 1\n    return 2\n",
    "clause dropped": "def f(a, b):\n    if a<< and b|>>:\n        return 1\n    return 2\n",
    "guarding clause": (
        "def f(n):\n    while <<n.next|n is not None and n.next>>:\n        n = n.next\n"
        "    return n\n"
    ),
    "truth of zero": "def f(n):\n    if <<n|n is not None>>:\n        return n\n    return 5\n",
    "call wrapper": "def f(a):\n    return <<a|sorted(a)>>\n",
    "call unwrapped": "def f(a):\n    for x in a:\n        yield <<f(x)|x>>\n",
    "method": "def f(a, b):\n    a.<<append|extend>>(b)\n    return a\n",
    "function": "def f(a):\n    return <<min|max>>(a)\n",
    "reverse order": "def f(a):\n    return sorted(a<<|, reverse=True>>)\n",
    "initial value": "def f(a):\n    total = <<1|0>>\n    return total + a\n",
    "empty container": (
        "def f(a):\n    if not a:\n        return <<[]|[[]]>>\n    return f(a[1:])\n"
    ),
    "yield": "def f(a):\n    for x in a:\n        <<yield f(x)|yield from f(x)>>\n",
    "return of a recursion": "def f(a):\n    if a:\n        <<f(a[1:])|return f(a[1:])>>\n",
    "accumulation": "def f(a):\n    n = 0\n    for x in a:\n        n <<=|+=>> x\n    return n\n",
    "shared default": (
        "def f(x, out=<<[]):\n|None):\n    if out is None:\n        out = []\n>>"
        "    out.append(x)\n    return out\n"
    ),
    "nonlocal": (
        "def f():\n    n = 0\n    def g():\n<<|        nonlocal n\n>>        n += 1\n"
        "        return n\n    return g\n"
    ),
    "jump": (
        "def f(a):\n    for x in a:\n        if x:\n            <<break|continue>>\n        g(x)\n"
    ),
    "moved out": ("def f(a):\n    n = 0\n    for x in a:\n        n += x\n<<    |>>    return n\n"),
    "guard": "def f(a, b):\n<<|    if not b:\n        return 0\n>>    return a / b\n",
    "list multiplied": "def f(n):\n    return <<[[0]] * n|[[0] for _ in range(n)]>>\n",
    "exception": (
        "def f(a):\n    try:\n"
        "        return a[0]\n    except <<KeyError|IndexError>>:\n        return 0\n"
    ),
    "format": "def f(n):\n    return f'{n:<<2d|02d>>}'\n",
    "date directive": "def f(d):\n    return d.strftime('<<%d-%m|%m-%d>>')\n",
    "missing key": "def f(d, k):\n    return <<d[k]|d.get(k, 0)>>\n",
    "chained element": (
        "def f(d, k, v):\n    <<d[k] = [v]|d.setdefault(k, []).append(v)>>\n    return d\n"
    ),
    "sentinel": "GONE = object()\ndef f(a):\n    return [x for x in a if <<x|x is not GONE>>]\n",
}


def split(marked: str) -> tuple[str, str]:
    head, _, rest = marked.partition("<<")
    inside, _, tail = rest.partition(">>")
    wrong, _, right = inside.partition("|")
    return f"{head}{wrong}{tail}", f"{head}{right}{tail}"


def plain(text: str) -> str:
    return "".join(char for char in text if char not in " ()")


@pytest.mark.parametrize("kind", DEFECTS)
def test_an_edit_repairs_the_defect(kind: str) -> None:
    broken, correct = split(DEFECTS[kind])

    results = {plain(edit.apply(broken)) for edit in makers.edits(Source("m.py", broken))}

    assert plain(correct) in results


@pytest.mark.parametrize("kind", DEFECTS)
def test_nearly_every_edit_compiles_and_changes_something(kind: str) -> None:
    broken, _ = split(DEFECTS[kind])
    edits = list(makers.edits(Source("m.py", broken)))

    bad = 0
    for edit in edits:
        text = edit.apply(broken)
        assert text != broken
        try:
            compile(text, "m.py", "exec")
        except SyntaxError:
            bad += 1
        except SyntaxWarning:
            pass

    assert bad <= 0.1 * len(edits)


def test_a_replaced_operand_keeps_the_meaning_of_what_is_around_it() -> None:
    text = "def f(a, b, c):\n    return a * b\n"
    edits = makers.edits(Source("m.py", text))

    results = {edit.apply(text) for edit in edits}

    assert "def f(a, b, c):\n    return a * (b + 1)\n" in results
    assert "def f(a, b, c):\n    return a * b + 1\n" in results


def test_edits_leave_comments_and_layout_alone() -> None:
    text = "def f(a):\n    # keep me\n    return (a  <  1)  # and me\n"

    for edit in makers.edits(Source("m.py", text)):
        if "statement" not in edit.kind:  # which take their line with them
            assert "# and me" in edit.apply(text)


def edit(line: int, kind: str, weight: float, text: str) -> Edit:
    return Edit("m.py", line * 10, line * 10 + 1, text, kind, weight, line)


def test_the_best_edits_of_every_suspicious_line_come_before_the_tail_of_any() -> None:
    crowd = [edit(1, "constant", 0.5, str(n)) for n in range(20)]
    other = edit(2, "operator", 0.45, "+")

    order = [item for _, item in ranked([*crowd, other], {("m.py", 1): 1, ("m.py", 2): 1}, 100)]

    assert order.index(other) < 5


def test_a_suspicious_line_comes_before_one_that_no_failing_test_ran() -> None:
    cold, hot = edit(1, "comparison", 1.0, "<"), edit(2, "expression", 0.2, "x")

    order = [item for _, item in ranked([cold, hot], {("m.py", 2): 1.0}, 100)]

    assert order == [hot, cold]


def test_equal_edits_are_tried_once_with_the_higher_weight() -> None:
    low, high = edit(1, "expression", 0.1, "x"), edit(1, "variable", 0.9, "x")

    found = ranked([low, high], {("m.py", 1): 1.0}, 100)

    assert [item for _, item in found] == [high]


def test_the_list_of_edits_is_cut_at_its_limit() -> None:
    many = [edit(1, "constant", 0.5, str(n)) for n in range(50)]

    assert len(ranked(many, {}, 7)) == 7


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = 1\nb = 2\n", "a = 1\nb = 3\n"),
        ("a = 1\nb = 2", "a = 1\nb = 3"),
        ("a = 1\n", "a = 1"),
        ("a = '\u2028'\r\nb = 2\r\n", "a = '\u2028'\r\nb = 3\r\n"),
        ("a = '\x0c'\n", "a = '\x0c\x0c'\n"),
    ],
)
def test_the_diff_applies_with_git(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "pkg" / "m.py"
    path.parent.mkdir()
    path.write_bytes(before.encode())

    diff = unified_diff("pkg/m.py", before, after)
    subprocess.run(["git", "apply", "-"], input=diff.encode(), cwd=tmp_path, check=True)

    assert path.read_bytes().decode() == after
