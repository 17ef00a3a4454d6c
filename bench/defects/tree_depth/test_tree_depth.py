from tree_depth import depth, leaves

TREE = ("a", [("b", [("c", []), ("d", [])]), ("e", [])])


def test_nothing():
    assert depth(None) == 0
    assert leaves(None) == []


def test_single():
    assert depth(("x", [])) == 1


def test_chain():
    assert depth((1, [(2, [(3, [])])])) == 3


def test_branches():
    assert depth(TREE) == 3


def test_wide():
    assert depth((0, [(i, []) for i in range(5)])) == 2


def test_leaves():
    assert leaves(TREE) == ["c", "d", "e"]
