import heapq


def distances(graph, start):
    """Cheapest distances; graph maps a node to {neighbour: cost}."""
    best = {start: 0}
    queue = [(0, start)]
    while queue:
        distance, node = heapq.heappop(queue)
        if distance > best[node]:
            continue
        for neighbour, cost in graph[node].items():
            candidate = cost
            if neighbour not in best or candidate < best[neighbour]:
                best[neighbour] = candidate
                heapq.heappush(queue, (candidate, neighbour))
    return best
