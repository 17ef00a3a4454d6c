def two_colour(graph):
    """A colour 0 or 1 for each node so that neighbours differ, or None."""
    colour = {}
    for root in graph:
        if root in colour:
            continue
        colour[root] = 0
        stack = [root]
        while stack:
            node = stack.pop()
            for neighbour in graph[node]:
                if neighbour not in colour:
                    colour[neighbour] = 1
                    stack.append(neighbour)
                elif colour[neighbour] == colour[node]:
                    return None
    return colour
