"""Lines, discounts and the total."""

from dataclasses import dataclass, field
from decimal import Decimal

from billing.money import clamp, percent_of


@dataclass(frozen=True)
class Line:
    text: str
    unit_cents: int
    count: int = 1

    @property
    def cents(self) -> int:
        return self.unit_cents * self.count


@dataclass
class Invoice:
    lines: list[Line] = field(default_factory=list)
    discount_percent: Decimal = Decimal(0)
    most_discount_cents: int = 50_00
    tax_percent: Decimal = Decimal(19)

    @property
    def subtotal(self) -> int:
        return sum(line.cents for line in self.lines)

    @property
    def discount(self) -> int:
        """Never negative, never above the agreed most."""
        wanted = percent_of(self.subtotal, self.discount_percent)
        return clamp(wanted, self.most_discount_cents, 0)

    @property
    def total(self) -> int:
        net = self.subtotal - self.discount
        return net + percent_of(net, self.tax_percent)
