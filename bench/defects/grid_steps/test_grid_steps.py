from grid_steps import fewest_steps


def test_right():
    assert fewest_steps(["S.E"]) == 2


def test_down():
    assert fewest_steps(["S", ".", "E"]) == 2


def test_left():
    assert fewest_steps(["E..S"]) == 3


def test_up():
    assert fewest_steps(["E#", "S#"]) == 1


def test_around():
    assert fewest_steps(["S#E", ".#.", "..."]) == 6


def test_walled_in():
    assert fewest_steps(["S#E"]) is None
