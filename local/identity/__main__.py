"""`python -m local.identity`: run the identity provider until it is told to stop."""

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from aiohttp import web

from local.identity.grant import Grants
from local.identity.issuer import Issuer
from local.identity.registration import CLIENT, TENANT
from local.identity.server import Provider
from local.process import announce, stop_with_stdin


def main() -> int:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m local.identity", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the signing key")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--stop-with-stdin", action="store_true", help="end with the parent")
    given = parser.parse_args()
    if given.stop_with_stdin:
        stop_with_stdin()
    return asyncio.run(_serve(given.data, given.port))


async def _serve(data: Path, port: int) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    # The address is in every token, so the port is taken before anything is built on it.
    sock = socket.create_server(("127.0.0.1", port))
    port = sock.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    provider = Provider(Issuer(data, url=url), Grants(), url=url)
    runner = web.AppRunner(provider.application(), access_log=None)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    announce(url=url, port=port, tenant=TENANT, client_id=CLIENT, pid=os.getpid())
    await stopped.wait()
    await runner.cleanup()
    return 0


if __name__ == "__main__":
    sys.exit(main())
