class NegativeCycle(ValueError):
    pass


def shortest(edges, nodes, start):
    """Distances with negative costs; raises NegativeCycle."""
    distance = dict.fromkeys(nodes, float("inf"))
    distance[start] = 0
    for _ in range(len(nodes) - 2):
        for source, target, cost in edges:
            if distance[source] + cost < distance[target]:
                distance[target] = distance[source] + cost
    for source, target, cost in edges:
        if distance[source] + cost < distance[target]:
            raise NegativeCycle(target)
    return distance
