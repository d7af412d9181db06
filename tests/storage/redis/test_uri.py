"""What a storage URI of Redis can say, and what is refused in one line."""

from __future__ import annotations

import pytest

from queueing.core.errors import SetupError
from queueing.storage.redis.uri import Address, Options, read


def test_a_host_is_all_that_is_needed() -> None:
    assert read("redis://localhost") == Address(
        kind="server", tls=False, hosts=(("localhost", 6379),)
    )


def test_user_password_port_and_database_are_read_and_percent_decoded() -> None:
    assert read("rediss://app:p%40ss%2Fword@10.0.0.1:6380/3") == Address(
        kind="server",
        tls=True,
        hosts=(("10.0.0.1", 6380),),
        db=3,
        username="app",
        password="p@ss/word",
    )


def test_a_password_needs_no_user() -> None:
    address = read("redis://:secret@localhost")
    assert (address.username, address.password) == (None, "secret")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("[::1]", ("::1", 6379)), ("[fe80::1]:7000", ("fe80::1", 7000)), ("a.b:1", ("a.b", 1))],
)
def test_hosts_are_names_or_addresses(host: str, expected: tuple[str, int]) -> None:
    assert read(f"redis://{host}/0").hosts == (expected,)


def test_a_socket_is_a_path() -> None:
    assert read("unix:///run/redis/redis.sock?db=2") == Address(
        kind="unix", tls=False, path="/run/redis/redis.sock", db=2, options=Options(db=2)
    )
    assert read("unix://app:pw@/run/redis.sock").username == "app"


def test_sentinels_name_a_master() -> None:
    assert read("redis+sentinel://s1,s2:26380,[::1]/mymaster/1?sentinel_password=x") == Address(
        kind="sentinel",
        tls=False,
        hosts=(("s1", 26379), ("s2", 26380), ("::1", 26379)),
        master="mymaster",
        db=1,
        options=Options(sentinel_password="x"),
    )


def test_a_cluster_is_known_by_some_of_its_nodes() -> None:
    assert read("rediss+cluster://n1:7000,n2:7001?min_replicas=1") == Address(
        kind="cluster",
        tls=True,
        hosts=(("n1", 7000), ("n2", 7001)),
        options=Options(min_replicas=1),
    )


def test_a_scheme_may_be_in_capitals() -> None:
    assert read("REDIS://localhost").kind == "server"


def test_options_are_cast() -> None:
    options = read(
        "rediss://localhost?pool_size=5&connect_timeout_seconds=0.5&answer_timeout_seconds=2"
        "&min_replicas=2&namespace=app-1&ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem"
        "&ssl_keyfile=/k.pem&ssl_check_hostname=no"
    ).options
    assert options == Options(
        pool_size=5,
        connect_timeout_seconds=0.5,
        answer_timeout_seconds=2.0,
        min_replicas=2,
        namespace="app-1",
        ssl_ca_certs="/ca.pem",
        ssl_certfile="/c.pem",
        ssl_keyfile="/k.pem",
        ssl_check_hostname=False,
    )


def test_an_address_shows_no_secrets() -> None:
    for uri in (
        "redis://app:secret@localhost:1",
        "redis+sentinel://app:secret@a,b/m?sentinel_password=secret",
        "redis+cluster://:secret@a,b",
        "unix://app:secret@/s",
    ):
        assert "secret" not in str(read(uri))


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("redis:/localhost", "expected one of redis"),
        ("http://localhost", "got 'http'"),
        ("redis://", "expected host or host:port, got ''"),
        ("redis://a,b", "redis+sentinel"),
        ("redis://a:port", "got 'a:port'"),
        ("redis://localhost/one", "expected the number of a database after the host, got 'one'"),
        ("redis+cluster://a/1", "a Cluster has no databases, got /1"),
        ("redis+sentinel://a,b", "no name of the master"),
        ("redis+sentinel://a,b/m/x", "number of a database"),
        ("unix://relative/path", "no absolute path"),
        ("redis://a?db=1", "option 'db' is not known"),
        (
            "redis://a?retries=3",
            "option 'retries' is not known for this kind of URI; known are pool_size",
        ),
        ("redis://a?ssl_ca_certs=/x", "option 'ssl_ca_certs' is not known"),
        ("redis+cluster://a?sentinel_password=x", "option 'sentinel_password' is not known"),
        ("redis://a?pool_size=0", "'pool_size' expects a whole number from 1, got '0'"),
        ("redis://a?min_replicas=-1", "'min_replicas' expects a whole number from 0, got '-1'"),
        ("redis://a?answer_timeout_seconds=0", "expects seconds above 0, below 3600, got '0'"),
        ("redis://a?answer_timeout_seconds=nan", "expects seconds above 0"),
        ("redis://a?namespace={x}", "'namespace' expects 1 to 64 of"),
        ("rediss://a?ssl_check_hostname=maybe", "expects yes or no, got 'maybe'"),
        ("rediss://a?ssl_keyfile=/k", "needs 'ssl_certfile' too"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(uri: str, said: str) -> None:
    with pytest.raises(SetupError) as refused:
        read(uri)
    assert said in str(refused.value)
    assert str(refused.value).startswith("storage: ")
    assert "\n" not in str(refused.value)
