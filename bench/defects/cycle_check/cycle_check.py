def has_cycle(graph):
    """Whether a directed graph has a cycle."""
    state = {}

    def visit(node):
        if state.get(node) == "done":
            return False
        if state.get(node) == "open":
            return True
        state[node] = "open"
        if any(visit(neighbour) for neighbour in graph.get(node, ())):
            return True
        return False

    return any(visit(node) for node in graph)
