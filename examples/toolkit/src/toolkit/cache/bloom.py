"""Membership that may err on one side only."""

import hashlib
import math


class BloomFilter:
    """Never forgets; may believe to know what it was never told."""

    def __init__(self, expected: int, error: float = 0.01) -> None:
        if not 0 < error < 1:
            raise ValueError("error must lie between 0 and 1")
        self.bits = max(8, math.ceil(-expected * math.log(error) / math.log(2) ** 2))
        self.hashes = max(1, round(self.bits / max(expected, 1) * math.log(2)))
        self._field = bytearray((self.bits + 7) // 8)

    def _positions(self, text: str) -> list[int]:
        digest = hashlib.sha256(text.encode()).digest()
        first = int.from_bytes(digest[:8], "big")
        second = int.from_bytes(digest[8:16], "big") | 1
        return [(first + i * second) % self.bits for i in range(self.hashes)]

    def add(self, text: str) -> None:
        for position in self._positions(text):
            self._field[position // 8] |= 1 << position % 8

    def __contains__(self, text: str) -> bool:
        return all(self._field[p // 8] >> p % 8 & 1 for p in self._positions(text))
