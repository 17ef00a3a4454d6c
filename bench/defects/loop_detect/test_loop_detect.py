import pytest
from loop_detect import Link, has_loop


def chain(size):
    links = [Link(i) for i in range(size)]
    for a, b in zip(links, links[1:]):
        a.following = b
    return links


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_no_loop(size):
    assert not has_loop(chain(size)[0])


def test_nothing():
    assert not has_loop(None)


@pytest.mark.parametrize("back_to", [0, 1, 3])
def test_loop(back_to):
    links = chain(4)
    links[-1].following = links[back_to]
    assert has_loop(links[0])


def test_itself():
    link = Link(1)
    link.following = link
    assert has_loop(link)
