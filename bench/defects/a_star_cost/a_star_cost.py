import heapq


def cheapest(costs, start, goal):
    """The cheapest sum of entered cells on a grid, moving in four directions."""
    rows, columns = len(costs), len(costs[0])

    def guess(place):
        return abs(place[0] - goal[0]) + abs(place[1] - goal[1])

    best = {start: 0}
    queue = [(guess(start), start)]
    closed = set()
    while queue:
        _, place = heapq.heappop(queue)
        if place == goal:
            return best[place]
        if place in closed:
            continue
        closed.add(place)
        r, c = place
        for step in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
            if 0 <= step[0] < rows and 0 <= step[1] < columns:
                cost = best[place] + costs[step[0]][step[1]]
                if cost < best.get(step, float("inf")):
                    best[step] = cost
                    heapq.heappush(queue, (guess(step), step))
    return None
