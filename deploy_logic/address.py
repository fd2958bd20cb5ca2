"""Which addresses belong to the internet, and to nobody's own network or machine. Pure.

The one place that says so: for what policies write, for what settings name, and for every
connection that is made. https://owasp.org/www-community/attacks/Server_Side_Request_Forgery
"""

import ipaddress
import re

type IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Azure's own services of every virtual machine answer at an address that looks public.
# https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
_PLATFORM = ipaddress.ip_address("168.63.129.16")
# RFC 3068's relays to 6to4, abandoned by RFC 7526; Python counts them among the public ones.
_RELAYS = ipaddress.ip_network("192.88.99.0/24")
_PRIVATE_NAMES = (".local", ".internal", ".localhost", ".localdomain", ".home.arpa")
_HTTPS = re.compile(
    r"https://(?P<host>\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?(?:[/?][!-~]*)?"
)
_HTTPS_PORT, _HIGHEST_PORT = 443, 65_535


def is_public(address: IpAddress) -> bool:
    """Whether the address belongs to the internet."""
    if isinstance(address, ipaddress.IPv6Address):
        # reserved holds the forms that carry an IPv4 address inside
        return address.is_global and not (
            address.is_multicast or address.is_reserved or address.is_site_local
        )
    is_special = address.is_multicast or address == _PLATFORM or address in _RELAYS
    return address.is_global and not is_special


def is_public_host(host: str) -> bool:
    """Whether a host as it is written may be on the internet; where it is, only a resolver knows.

    What is all digits and dots, or has no dot, is an address in disguise or a neighbour's name.
    """
    name = host.removeprefix("[").removesuffix("]").lower()
    try:
        return is_public(ipaddress.ip_address(name))
    except ValueError:
        pass
    before, _, last = name.rstrip(".").rpartition(".")
    is_number = last.isdigit() or last.startswith("0x")
    return bool(before) and not is_number and not f".{name.rstrip('.')}".endswith(_PRIVATE_NAMES)


def read_https(url: str) -> tuple[str, int] | None:
    """Return host and port of an https address as one should be written, or None."""
    found = _HTTPS.fullmatch(url)
    port = int(found["port"] or _HTTPS_PORT) if found is not None else 0
    return (found["host"], port) if found is not None and 0 < port <= _HIGHEST_PORT else None
