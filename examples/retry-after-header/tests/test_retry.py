# Modelled on urllib3's Retry: a Retry-After date in the past gave a negative time to sleep.
import pytest

from polite_client.retry import InvalidHeader, RetryPolicy

NOON = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


def test_seconds_are_taken_as_they_are():
    assert RetryPolicy().parse_retry_after("7") == 7.0
    assert RetryPolicy().parse_retry_after(" 0 ") == 0.0


def test_date_in_the_future():
    wait = RetryPolicy().parse_retry_after("Wed, 21 Oct 2015 07:28:30 GMT", now=NOON)
    assert wait == 30


def test_date_in_the_past_means_now():
    wait = RetryPolicy().parse_retry_after("Wed, 21 Oct 2015 07:27:00 GMT", now=NOON)
    assert wait == 0


def test_delay_of_a_clock_that_runs_ahead():
    headers = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert RetryPolicy().delay(headers, attempts=1, now=NOON + 3600) == 0


def test_delay_is_capped():
    assert RetryPolicy(longest=10).delay({"Retry-After": "3600"}, attempts=1) == 10


def test_garbage_is_refused():
    with pytest.raises(InvalidHeader):
        RetryPolicy().parse_retry_after("soon")


@pytest.mark.parametrize(("attempts", "wait"), [(0, 0), (1, 0), (2, 1.0), (3, 2.0), (12, 120)])
def test_backoff(attempts, wait):
    assert RetryPolicy().delay({}, attempts) == wait


def test_only_safe_methods_are_retried():
    assert RetryPolicy().is_retryable("get", 503, 0)
    assert not RetryPolicy().is_retryable("POST", 503, 0)
    assert not RetryPolicy().is_retryable("GET", 503, 5)
