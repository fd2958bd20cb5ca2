"""The rules of weights and mirrors. Pure."""

from collections.abc import Iterable, Mapping

from local.azure_ml.errors import user_error
from local.azure_ml.store import Json

_ALL = 100
_MIRROR_MOST = 50


def check_new(properties: Json) -> None:
    """Refuse weights at an endpoint's creation: it has no deployments yet."""
    if any(_weights(properties, key) for key in ("traffic", "mirrorTraffic")):
        raise user_error("Traffic cannot be set when an endpoint is created")


def check(
    properties: Json, deployments: Iterable[str], *, managed: bool
) -> tuple[dict[str, int], dict[str, int]]:
    """Give the live and the mirror weights under the deployments' own names, or refuse them."""
    own_names = {name.lower(): name for name in deployments}
    live = _named(properties, "traffic", own_names)
    mirror = _named(properties, "mirrorTraffic", own_names)
    total = sum(live.values())
    if total not in (0, _ALL):
        raise user_error(
            f"Traffic weights of an endpoint must sum to 0 or {_ALL}, not {total}: {live}"
        )
    mirrored = {name: percent for name, percent in mirror.items() if percent > 0}
    if mirrored:
        _check_mirror(mirrored, live, managed=managed)
    return live, mirror


def _check_mirror(mirrored: Mapping[str, int], live: Mapping[str, int], *, managed: bool) -> None:
    if not managed:
        raise user_error("Mirror traffic is supported by managed online endpoints only")
    if len(mirrored) > 1:
        raise user_error(f"Only one deployment can receive mirror traffic, not {len(mirrored)}")
    ((name, percent),) = mirrored.items()
    if percent > _MIRROR_MOST:
        raise user_error(f"Mirror traffic is at most {_MIRROR_MOST} percent, not {percent}")
    if live.get(name, 0) > 0:
        raise user_error(f"Deployment '{name}' cannot receive live and mirror traffic at once")


def _named(properties: Json, key: str, deployments: Mapping[str, str]) -> dict[str, int]:
    named: dict[str, int] = {}
    for name, weight in _weights(properties, key).items():
        known = deployments.get(name.lower())
        if known is None:
            raise user_error(
                f"{key} names deployment '{name}', which does not exist", "DeploymentNotFound"
            )
        if known in named:
            raise user_error(f"{key} names deployment '{known}' twice")
        named[known] = weight
    return named


def _weights(properties: Json, key: str) -> dict[str, int]:
    given = properties.get(key)
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise user_error(f"{key} must map deployments to percents, not {given!r}")
    for name, weight in given.items():
        if isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= _ALL:
            raise user_error(f"{key} of '{name}' is {weight!r}, not a whole percent from 0 to 100")
    return given
