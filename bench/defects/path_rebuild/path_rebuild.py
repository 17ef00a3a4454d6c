from collections import deque


def shortest_path(graph, start, goal):
    """The nodes of a shortest path from start to goal, or an empty list."""
    came_from = {start: None}
    todo = deque([start])
    while todo:
        node = todo.popleft()
        if node == goal:
            break
        for neighbour in graph.get(node, []):
            if neighbour not in came_from:
                came_from[neighbour] = node
                todo.append(neighbour)
    if goal not in came_from:
        return []
    path = []
    node = goal
    while node is not None:
        path.append(node)
        node = came_from[node]
    return list(path)
