def depth(tree):
    """Levels of a tree given as (value, [children]); None has none."""
    if tree is None:
        return 0
    _, children = tree
    return 1 + sum((depth(child) for child in children), 0)


def leaves(tree):
    """Values of the nodes without children, from left to right."""
    if tree is None:
        return []
    value, children = tree
    if not children:
        return [value]
    return [leaf for child in children for leaf in leaves(child)]
