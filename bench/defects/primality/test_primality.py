import pytest
from primality import is_prime, next_prime


@pytest.mark.parametrize("number", [2, 3, 5, 7, 11, 97, 7919])
def test_prime(number):
    assert is_prime(number)


@pytest.mark.parametrize("number", [-7, 0, 1, 4, 6, 9, 15, 25, 49, 91, 7921])
def test_not_prime(number):
    assert not is_prime(number)


@pytest.mark.parametrize(("number", "following"), [(0, 2), (2, 3), (7, 11), (24, 29), (89, 97)])
def test_next(number, following):
    assert next_prime(number) == following
