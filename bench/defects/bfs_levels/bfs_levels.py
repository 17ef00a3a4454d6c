from collections import deque


def levels(graph, start):
    """The number of steps from start to every node that it reaches."""
    distance = {start: 0}
    todo = deque([start])
    while todo:
        node = todo.popleft()
        for neighbour in graph.get(node, ()):
            if neighbour in graph:
                distance[neighbour] = distance[node] + 1
                todo.append(neighbour)
    return distance
