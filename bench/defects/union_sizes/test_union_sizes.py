from union_sizes import Groups


def test_alone():
    assert Groups(3).size(1) == 1


def test_pair():
    groups = Groups(3)
    assert groups.join(0, 1)
    assert groups.size(0) == groups.size(1) == 2
    assert groups.size(2) == 1


def test_same_group():
    groups = Groups(2)
    groups.join(0, 1)
    assert not groups.join(1, 0)
    assert groups.size(0) == 2


def test_chain():
    groups = Groups(6)
    for i in range(5):
        groups.join(i, i + 1)
    assert [groups.size(i) for i in range(6)] == [6] * 6


def test_two_groups_meet():
    groups = Groups(5)
    groups.join(0, 1)
    groups.join(2, 3)
    groups.join(3, 4)
    groups.join(0, 4)
    assert groups.size(1) == 5
