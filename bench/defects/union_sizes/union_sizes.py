class Groups:
    """Disjoint groups of the numbers below size."""

    def __init__(self, size):
        self.parent = list(range(size))
        self.members = [1] * size

    def find(self, item):
        while self.parent[item] != item:
            item = self.parent[item]
        return item

    def join(self, a, b):
        a, b = self.find(a), self.find(b)
        if a == b:
            return False
        if self.members[a] < self.members[b]:
            a, b = b, a
        self.parent[b] = a
        self.members[b] += self.members[a]
        return True

    def size(self, item):
        return self.members[self.find(item)]
