"""The one app registration, and the people of the tenant. Whoever asks may be any of them."""

from collections.abc import Mapping
from dataclasses import dataclass

TENANT = "00000000-0000-0000-0000-00000000000a"  # as the emulator's workspace has it
CLIENT = "00000000-0000-0000-0000-0000000000c1"
_SCOPE = "Rollouts.Use"
OPENID = frozenset({"openid", "profile", "email", "offline_access"})
# An application that asks for a token for itself is refused under its api:// address and /.default.
SCOPES = frozenset({f"{CLIENT}/.default", f"{CLIENT}/{_SCOPE}", f"api://{CLIENT}/{_SCOPE}"})
BY_ADDRESS = f"api://{CLIENT}/.default"
GRANTED = _SCOPE


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody of the tenant."""

    id: str
    name: str = ""
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    about: str = ""  # for the page on which one chooses

    @property
    def address(self) -> str:
        """What Entra calls preferred_username."""
        return f"{self.name.lower()}@rollouts.example" if self.name else ""


PEOPLE: Mapping[str, Person] = {
    "ann": Person(
        id="11111111-2222-3333-4444-555555555555",
        name="Ann",
        roles=("Rollouts.PromoteNow",),
        about="may everything",
    ),
    "lea": Person(
        id="00000000-0000-0000-0000-0000000000a2",
        name="Lea",
        roles=("Rollouts.Operate",),
        groups=("ml-leads",),
        about="operates, and is one of group:ml-leads",
    ),
    "max": Person(
        id="00000000-0000-0000-0000-0000000000a3",
        name="Max",
        roles=("Rollouts.Operate", "owner"),
        about="operates, and has role:owner",
    ),
    "bob": Person(
        id="00000000-0000-0000-0000-0000000000a4",
        name="Bob",
        roles=("Rollouts.Read",),
        about="reads",
    ),
    "eve": Person(
        id="00000000-0000-0000-0000-0000000000a5", name="Eve", about="is signed in, without a role"
    ),
}
