class MinStack:
    """A stack that knows its smallest item at any time."""

    def __init__(self):
        self._items = []
        self._minima = []

    def push(self, item):
        self._items.append(item)
        if not self._minima or item < self._minima[-1]:
            self._minima.append(item)

    def pop(self):
        item = self._items.pop()
        if item == self._minima[-1]:
            self._minima.pop()
        return item

    def smallest(self):
        return self._minima[-1]
