"""Values of arithmetic expressions, by precedence climbing."""

import operator
from collections.abc import Callable, Mapping

from toolkit.errors import ParseError
from toolkit.parsing.tokens import Token, tokens

_BINARY: dict[str, tuple[int, bool, Callable[[float, float], float]]] = {
    "+": (1, False, operator.add),
    "-": (1, False, operator.sub),
    "*": (2, False, operator.mul),
    "/": (2, False, operator.truediv),
    "^": (4, True, operator.pow),
}
_SIGN_STRENGTH = 3
_FUNCTIONS: dict[str, Callable[..., float]] = {"min": min, "max": max, "abs": abs}


class _Reader:
    def __init__(self, text: str, names: Mapping[str, float]) -> None:
        self._tokens = list(tokens(text))
        self._at = 0
        self._names = names

    @property
    def current(self) -> Token:
        return self._tokens[self._at]

    def advance(self) -> Token:
        token = self.current
        self._at += 1
        return token

    def expect(self, text: str) -> None:
        if self.current.text != text:
            raise ParseError(f"expected {text!r}", self.current.position)
        self.advance()

    def expression(self, least: int = 0) -> float:
        value = self.operand()
        while (found := _BINARY.get(self.current.text)) and found[0] >= least:
            strength, is_right, apply = found
            self.advance()
            value = apply(value, self.expression(strength if is_right else strength + 1))
        return value

    def operand(self) -> float:
        token = self.advance()
        if token.kind == "number":
            return float(token.text)
        if token.text == "-":
            return -self.expression(_SIGN_STRENGTH)
        if token.text == "(":
            value = self.expression()
            self.expect(")")
            return value
        if token.kind == "name":
            if self.current.text == "(":
                return self.call(token)
            if token.text in self._names:
                return self._names[token.text]
        raise ParseError(f"unexpected {token.text or 'end'!r}", token.position)

    def call(self, token: Token) -> float:
        if token.text not in _FUNCTIONS:
            raise ParseError(f"unknown function {token.text!r}", token.position)
        self.expect("(")
        arguments = [self.expression()]
        while self.current.text == ",":
            self.advance()
            arguments.append(self.expression())
        self.expect(")")
        return _FUNCTIONS[token.text](*arguments)


def evaluate(text: str, names: Mapping[str, float] | None = None) -> float:
    reader = _Reader(text, names or {})
    value = reader.expression()
    if reader.current.kind != "end":
        raise ParseError("unexpected rest", reader.current.position)
    return value
