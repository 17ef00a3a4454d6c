import pytest
from component_count import components


@pytest.mark.parametrize(
    ("nodes", "edges", "groups"),
    [
        ([], [], []),
        ([1], [], [[1]]),
        ([1, 2], [], [[1], [2]]),
        ([1, 2, 3], [(1, 3)], [[1, 3], [2]]),
        ([1, 2, 3], [(1, 2), (2, 3), (1, 3)], [[1, 2, 3]]),
        ([4, 3, 2, 1], [(4, 1), (2, 3)], [[1, 4], [2, 3]]),
    ],
)
def test_groups(nodes, edges, groups):
    assert components(nodes, edges) == groups
