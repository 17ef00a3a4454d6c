# Modelled on sympy's coth: one branch used a name that is defined nowhere.
import math
from fractions import Fraction

import pytest

from exact.hyperbolic import coth, sech, tanh

HALF = Fraction(1, 2)


def test_tanh_has_period_pi_i():
    assert tanh((1.5, Fraction(3))) == math.tanh(1.5)


def test_half_a_period_turns_coth_into_tanh():
    assert coth((2.0, HALF)) == math.tanh(2.0)


def test_coth_of_a_real_number():
    assert coth((1.0, Fraction(0))) == pytest.approx(1 / math.tanh(1.0))


def test_coth_at_its_pole():
    assert coth((0.0, Fraction(2))) == math.inf


def test_half_a_period_turns_tanh_into_coth():
    assert tanh((1.0, HALF)) == pytest.approx(1 / math.tanh(1.0))
    assert tanh((0.0, HALF)) == math.inf


def test_sech_changes_sign():
    assert sech((0.0, Fraction(0))) == 1
    assert sech((0.0, Fraction(1))) == -1
    with pytest.raises(ValueError, match="not real"):
        sech((0.0, HALF))


def test_other_parts_are_refused():
    with pytest.raises(ValueError, match="exact rewriting"):
        coth((1.0, Fraction(1, 3)))
