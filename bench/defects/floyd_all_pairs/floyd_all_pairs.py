INFINITY = float("inf")


def all_pairs(size, edges):
    """A table of the shortest distances between all pairs of nodes."""
    table = [[0 if i == j else INFINITY for j in range(size)] for i in range(size)]
    for i, j, cost in edges:
        table[i][j] = min(table[i][j], cost)
    for via in range(size):
        for i in range(size):
            for j in range(size):
                through = table[i][via] + table[j][via]
                if through < table[i][j]:
                    table[i][j] = through
    return table
