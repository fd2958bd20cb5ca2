"""Who belongs to the internet: the same answer for policies, settings and connections."""

import ipaddress

import pytest

from deploy_logic.address import is_public, is_public_host, read_https
from tests.builders import a_policy

PRIVATE = [
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "127.9.9.9", "169.254.169.254",
    "0.0.0.0",  # noqa: S104 - it is refused, not bound to
    "169.254.130.1", "168.63.129.16", "100.64.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1",
    "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
    "ff0e::1",     "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::a00:1", "64:ff9b::a00:1", "64:ff9b:1::1",
    "2002:a00:1::1", "2001::1", "2001:db8::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "20.50.2.1", "168.63.129.17", "2606:4700::1111", "2a01:111:f400::1"]
NAMES = [
    "localhost", "gates", "gates.", "gates.local", "gates.internal.", "db.localhost", "a.home.arpa",
    "a.localdomain", "127.1", "2130706433", "0x7f.1", "0x7f000001", "10.0.0.1.", "1.1.1.1.",
]  # fmt: skip


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_private_wherever_it_is_met(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert not is_public_host(bracketed(address))
    with pytest.raises(ValueError, match="https address"):
        a_policy(gates=[{"kind": "http", "url": f"https://{bracketed(address)}/x"}])


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public_wherever_it_is_met(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    assert is_public_host(bracketed(address))
    assert a_policy(gates=[{"kind": "http", "url": f"https://{bracketed(address)}/x"}]).gates


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_can_only_be_near_is_private(name: str) -> None:
    assert not is_public_host(name)
    assert not is_public_host(name.upper())


@pytest.mark.parametrize("name", ["gates.contoso.com", "gates.contoso.com.", "a.b1", "x.local.net"])
def test_another_name_may_be_public(name: str) -> None:
    assert is_public_host(name)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://gates.contoso.com", ("gates.contoso.com", 443)),
        ("https://gates.contoso.com:8443/a?b=c#d", ("gates.contoso.com", 8443)),
        ("https://[::1]:1/", ("[::1]", 1)),
        ("https://gates.contoso.com:0/", None),
        ("https://gates.contoso.com:65536/", None),
        ("https://user:key@gates.contoso.com/", None),
        ("http://gates.contoso.com/", None),
        ("https:///x", None),
        ("https://gates.contoso.com/a b", None),
        ("https://gates.contoso.com/\nx", None),
        ("https://gr\u00f6\u00dfer.contoso.com/", None),
    ],
)
def test_an_https_address_is_read_as_it_should_be_written(
    url: str, place: tuple[str, int] | None
) -> None:
    assert read_https(url) == place
