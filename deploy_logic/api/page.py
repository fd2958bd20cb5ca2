"""The dashboard's files, as browsers are to treat them: nothing from elsewhere, nothing inline."""

import re
from collections.abc import Mapping
from pathlib import Path

from deploy_logic.api.visit import Answer
from deploy_logic.errors import OperationError

_ORIGIN = re.compile(r"https?://[a-zA-Z0-9.:\[\]-]+")  # no more than may stand in a header
KINDS: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}


def find_file(folder: Path, name: str, *, authority: str = "") -> Answer:
    """Return the file of that very name; OperationError 404 where there is none.

    The name is held against the names in the folder, so that no path is ever made of it. authority
    is the address where the page signs people in; empty where the platform does.
    """
    names = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
    path = names.get(name)
    if path is None or path.suffix not in KINDS or not path.is_file():
        raise OperationError(f"the dashboard has no file {name!r}", status=404)
    is_page = path.suffix == ".html"
    headers = {
        "Content-Security-Policy": _policy(authority),
        "Referrer-Policy": "no-referrer",
        # a file is asked for again each time: a new version of the app has new ones
        "Cache-Control": "no-store" if is_page else "no-cache",
    }
    kind = KINDS[path.suffix]
    return Answer(status=200, kind=kind, body=path.read_bytes(), headers=headers)


def _policy(authority: str) -> str:
    found = _ORIGIN.match(authority)
    origin = f" {found[0]}" if found is not None else ""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self'{origin}; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    )
