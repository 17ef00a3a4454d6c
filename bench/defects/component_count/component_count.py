def components(nodes, edges):
    """Sorted lists of the nodes that hang together."""
    neighbours = {node: set() for node in nodes}
    for a, b in edges:
        neighbours[a].add(b)
        neighbours[b].add(a)
    seen = set()
    result = []
    for node in nodes:
        if node in seen:
            continue
        group, todo = [], [node]
        while todo:
            current = todo.pop()
            if current in seen:
                continue
            seen.add(current)
            group.append(current)
            todo.extend(neighbours[current])
            result.append(sorted(group))
    return result
