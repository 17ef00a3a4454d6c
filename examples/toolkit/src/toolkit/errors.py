"""Every exception of the package."""


class ToolkitError(Exception):
    """Base of all errors here."""


class ParseError(ToolkitError, ValueError):
    """The text cannot be read."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} at position {position}")
        self.position = position


class UnitError(ToolkitError, ValueError):
    """Units do not fit together."""


class NoRoute(ToolkitError, LookupError):
    """Two nodes are not connected."""


class SingularMatrix(ToolkitError, ArithmeticError):
    """The matrix has no inverse."""
