"""Tokens between two commands: one file that nobody else may read, by the app's address."""

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rolloutctl.exit import UsageError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a sign-in has left."""

    authority: str
    client_id: str
    scope: str
    access_token: str
    until: str  # ISO 8601
    refresh_token: str = ""

    @property
    def ends(self) -> datetime:
        """When the access token is over."""
        return datetime.fromisoformat(self.until)


def find_cache(environment: Mapping[str, str]) -> Path:
    """Return where the tokens are: under XDG_CACHE_HOME, or .cache of the home folder."""
    root = environment.get("XDG_CACHE_HOME", "")
    folder = Path(root) if os.path.isabs(root) else Path.home() / ".cache"  # noqa: PTH117 - of ""
    return folder / "rolloutctl" / "tokens.json"


def recall(path: Path, address: str) -> Kept | None:
    """Return what is kept for the app; UsageError when others may read the file."""
    found = _read(path).get(address.lower())
    try:
        return Kept(**found) if isinstance(found, dict) else None
    except TypeError:  # of another version of this program
        return None


def remember(path: Path, address: str, kept: Kept) -> None:
    """Keep it; the file is replaced as a whole."""
    _write(path, {**_read(path), address.lower(): asdict(kept)})


def forget(path: Path, address: str) -> bool:
    """Keep nothing for the app any more; return whether there was something."""
    known = _read(path)
    if known.pop(address.lower(), None) is None:
        return False
    _write(path, known)
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and mode & _OTHERS:
                text = f"{path}: others may read the tokens in it (chmod 600 {path})"
                raise UsageError(text)
            found = json.load(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror} (a file of ours)") from error
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error} (delete it, and log in again)") from error
    return found if isinstance(found, dict) else {}


def _write(path: Path, known: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=path.parent)  # readable by us alone
        with os.fdopen(number, "w", encoding="utf-8") as file:
            json.dump(known, file)
        Path(name).replace(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror} (a folder we may write to)") from error
