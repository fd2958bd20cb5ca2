"""Where the archive's contract holds: the fake, the folder, and a table of Azurite.

Azurite is Microsoft's emulator of Azure Storage. Over https, with Entra tokens checked for their
form (`--oauth basic`), it is met by the adapter as it is shipped: with a credential and no key.
"""

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from azure.core.credentials import AccessToken

from local.azure_ml.certificates import server_context

REPOSITORY = Path(__file__).parents[2]
AZURITE = REPOSITORY / "node_modules" / "azurite" / "dist" / "src" / "table" / "main.js"
ACCOUNT = "devstoreaccount1"
INSTALL = "make node"
_START_MAY_TAKE = 60  # seconds, on a busy machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Azurite:
    """One that runs."""

    address: str
    authority: Path  # what vouches for it


class Guest:
    """A credential whose tokens have the form of Entra's; Azurite checks no more than that."""

    def get_token(self, *scopes: str, **_options: object) -> AccessToken:
        assert scopes == ("https://storage.azure.com/.default",)
        now = datetime.now(UTC)
        claims = {
            "aud": "https://storage.azure.com",
            "iss": "https://sts.windows.net/11111111-1111-1111-1111-111111111111/",
            "iat": int(now.timestamp()) - 60,
            "nbf": int(now.timestamp()) - 60,
            "exp": (ends := int(now.timestamp()) + 3_600),
        }
        parts = [{"alg": "RS256", "typ": "JWT"}, claims]
        words = [_base64(json.dumps(part).encode()) for part in parts]
        return AccessToken(".".join([*words, _base64(b"unsigned")]), ends)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def find_node() -> str:
    """Return the path of node, or why the tests have to be left out."""
    return shutil.which("node") or ""


@contextlib.contextmanager
def azurite(folder: Path) -> Iterator[Azurite]:
    """Run Azurite's tables on a free port of loopback, in memory, until the end of the block."""
    authority = server_context(folder)[1]
    chain = str(folder / "server.pem")  # with its key
    port = _find_port()
    command = [find_node(), str(AZURITE), "--tableHost", "127.0.0.1", "--tablePort", str(port)]
    command += ["--inMemoryPersistence", "--oauth", "basic", "--disableTelemetry"]
    command += ["--cert", chain, "--key", chain]
    log = folder / "azurite.log"
    with log.open("wb") as output:
        child = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for(child, port, log)
        yield Azurite(address=f"https://127.0.0.1:{port}/{ACCOUNT}", authority=authority)
    finally:
        child.terminate()
        child.wait(30)


def _find_port() -> int:
    """Return a port that is free now: on port 0 Azurite does not say which one it took."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def _wait_for(child: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + _START_MAY_TAKE
    while time.monotonic() < end:
        assert child.poll() is None, log.read_text(errors="replace")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            return
        time.sleep(0.05)
    raise AssertionError(f"Azurite does not listen:\n{log.read_text(errors='replace')}")
