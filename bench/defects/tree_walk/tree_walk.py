class Node:
    def __init__(self, value, left=None, right=None):
        self.value = value
        self.left = left
        self.right = right


def in_order(node):
    """Values of a binary tree from left to right."""
    if node is not None:
        yield in_order(node.left)
        yield node.value
        yield from in_order(node.right)


def insert(node, value):
    """The tree with a value added; values that are there already are ignored."""
    if node is None:
        return Node(value)
    if value < node.value:
        node.left = insert(node.left, value)
    elif value > node.value:
        node.right = insert(node.right, value)
    return node
