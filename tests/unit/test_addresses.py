import pytest
from kombu.utils.json import dumps

from fixwurx_celery.addresses import SentinelAddress, is_sentinel, without_password
from fixwurx_celery.broker import celery_settings, doorbell
from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.settings import Settings

FULL = "redis+sentinel://me:s%2Fcret@h1:26379,h2:26380,[::1]:7/the-store/3?sentinel_password=a%26b"


def test_an_address_has_all_that_its_url_says() -> None:
    assert SentinelAddress.parse(FULL) == SentinelAddress(
        sentinels=(("h1", 26379), ("h2", 26380), ("::1", 7)),
        master="the-store",
        db=3,
        username="me",
        password="s/cret",
        sentinel_password="a&b",
    )


def test_what_an_address_leaves_out_has_defaults() -> None:
    assert SentinelAddress.parse("redis+sentinel://h1, h2:1/m") == SentinelAddress(
        sentinels=(("h1", 26379), ("h2", 1)), master="m"
    )


@pytest.mark.parametrize("url", ["redis+sentinel://:a+b@h/m", "redis+sentinel://:a%2Bb@h/m"])
def test_a_plus_in_a_password_is_a_plus(url: str) -> None:
    url += "?sentinel_password=c+d"

    parsed = SentinelAddress.parse(url)

    assert (parsed.password, parsed.sentinel_password) == ("a+b", "c+d")


def test_an_address_shows_no_password() -> None:
    shown = repr(SentinelAddress.parse(FULL))

    assert "s/cret" not in shown
    assert "a&b" not in shown


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("redis+sentinel://h:1", "names no master"),
        ("redis+sentinel://h:1/", "names no master"),
        ("redis+sentinel:///m", "names the sentinel '', which is no host:port"),
        ("redis+sentinel://h:1,/m", "names the sentinel '', which is no host:port"),
        ("redis+sentinel://h:x/m", "names the sentinel 'h:x', which is no host:port"),
        ("redis+sentinel://h:1:2/m", "names the sentinel 'h:1:2', which is no host:port"),
        ("redis+sentinel://h:70000/m", "names the sentinel 'h:70000', whose port is none"),
        ("redis+sentinel://h:1/m/zero", "names the database 'zero'"),
        ("redis+sentinel://h/m?sentinel_pasword=x", "did you mean sentinel_password"),
        ("redis+sentinel://h/m?db=3", "has the option 'db', which is none"),
        ("sentinel://h:1/0", "write redis+sentinel://host:26379,host2:26379/mastername"),
        ("redis+sentinel://:se/cret@h/m", "cannot be read"),
        ("rediss+sentinel://h/m", "must begin with redis://"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_with_the_way_out(url: str, rule: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings(redis_url=url)

    (problem,) = refused.value.problems
    assert problem.startswith("FIXWURX_REDIS_URL=")
    assert rule in problem


def test_the_broker_behind_sentinel_is_named_as_the_store_is() -> None:
    with pytest.raises(ConfigurationError, match="FIXWURX_BROKER_URL=sentinel://h:1/0 does not"):
        Settings(broker_url="sentinel://h:1/0")

    given = celery_settings(Settings(redis_url="redis://h", broker_url=FULL))

    assert given["broker_url"].startswith("sentinel://")


def test_no_error_shows_a_password() -> None:
    for url in (
        "redis+sentinel://:secret@h:1",
        "redis+sentinel://:secret@h:x/m",
        "redis+sentinel://:secret/x@h:1/m",
        "redis+sentinel://:sec#ret@h:1/m",
        "redis+sentinel://h:1/m/x?sentinel_password=secret",
        "sentinel://:secret@h:1/0",
    ):
        with pytest.raises(ConfigurationError) as refused:
            Settings(redis_url=url)
        assert "sec" not in str(refused.value).replace("sentinel_password=***", "")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            FULL,
            "redis+sentinel://me:***@h1:26379,h2:26380,[::1]:7/the-store/3?sentinel_password=***",
        ),
        ("redis+sentinel://h:1,h2:2/m", "redis+sentinel://h:1,h2:2/m"),
        ("redis+sentinel://me@h:1/m", "redis+sentinel://me@h:1/m"),
        ("redis://h/0?password=secret&db=1", "redis://h/0?password=***&db=1"),
        ("redis://:se/cret@h/0", "(not a URL; hidden)"),
        ("redis://:se?cret@h/0", "(not a URL; hidden)"),
        ("amqp://me:a@h1//;amqp://me:b@h2//", "amqp://me:***@h1//;amqp://me:***@h2//"),
        ("redis://:a;b@h/0", "redis://:***@h/0"),
        ("s3://bucket/folder@2", "s3://bucket/folder@2"),
    ],
)
def test_a_url_is_shown_without_its_passwords(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_celery_is_given_every_sentinel_with_the_stores_password() -> None:
    given = celery_settings(Settings(redis_url=FULL))
    options = given["broker_transport_options"]

    assert given["broker_url"] == (
        "sentinel://me:s%2Fcret@h1:26379/3;sentinel://me:s%2Fcret@h2:26380/3;"
        "sentinel://me:s%2Fcret@[::1]:7/3"
    )
    assert options["master_name"] == "the-store"
    assert dict(options["sentinel_kwargs"])["password"] == "a&b"
    plain = celery_settings(Settings(redis_url="redis://h"))
    assert plain["broker_transport_options"].keys() < options.keys()
    assert given.keys() == plain.keys()


def test_what_celery_tells_of_its_options_has_no_password() -> None:
    options = celery_settings(Settings(redis_url=FULL))["broker_transport_options"]

    told = dumps(options) + repr(options)

    assert "the-store" in told
    assert "a&b" not in told


def test_scripts_ring_behind_sentinel_too() -> None:
    assert doorbell(Settings(redis_url=FULL)) == doorbell(Settings(redis_url="redis://h"))
    assert is_sentinel(FULL)
    assert not is_sentinel("redis://h")
