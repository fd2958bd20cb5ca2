"""How long operations take: at once, long enough to be seen, or as long as in Azure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from local.azure_ml.errors import user_error
from local.azure_ml.store import Json, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """Seconds of each kind of operation; a deployment takes the start of its server on top."""

    endpoint: float = 0.0
    traffic: float = 0.0
    deployment: float = 0.0
    delete: float = 0.0
    metrics: float = 0.0  # until Azure Monitor shows what happened


PACES: Mapping[str, Durations] = {
    "instant": Durations(),
    "demo": Durations(endpoint=1, traffic=1, deployment=2, delete=1, metrics=2),
    # Seen in a recorded trace: endpoint 90 s, deployment about 9.5 min, traffic switch 20 s.
    # No recording shows a delete: it is given a traffic switch's time. Metrics are documented to
    # be complete after about three minutes.
    "realistic": Durations(endpoint=90, traffic=20, deployment=570, delete=20, metrics=180),
}


def read(text: str) -> Durations:
    """Read `NAME`, `KEY=SECONDS`, or several of them with commas between; ValueError otherwise."""
    found = PACES["instant"]
    for part in text.split(","):
        key, equals, seconds = part.strip().partition("=")
        if not equals and key in PACES:
            found = PACES[key]
        elif equals and key in asdict(found) and float(seconds) >= 0:
            found = replace(found, **{key: float(seconds)})
        else:
            names = ", ".join([*PACES, *(f"{name}=SECONDS" for name in asdict(found))])
            raise ValueError(f"pace {part!r} is not one of {names}")
    return found


class Pace:
    """The durations in force; kept over a restart."""

    def __init__(self, store: Store, start_with: Durations | None) -> None:
        self._store = store
        kept = store.get("settings", "pace")
        if start_with is not None:
            self.now = start_with
        else:
            self.now = PACES["instant"] if kept is None else Durations(**kept)

    def set(self, asked: Json) -> Json:
        """Take `{"pace": NAME}`, single durations in seconds, or both."""
        asked = dict(asked)
        name = asked.pop("pace", None)
        if name is not None and name not in PACES:
            raise user_error(f"pace {name!r} is not one of {', '.join(PACES)}")
        wanted = asdict(self.now if name is None else PACES[name])
        for key, seconds in asked.items():
            if key not in wanted:
                raise user_error(f"{key!r} is not one of pace, {', '.join(wanted)}")
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
                raise user_error(f"{key} {seconds!r} is not a number of seconds")
            wanted[key] = float(seconds)
        self.now = Durations(**wanted)
        self._store.put("settings", "pace", wanted)
        return wanted

    def show(self) -> Json:
        """Give the durations in force."""
        return asdict(self.now)
