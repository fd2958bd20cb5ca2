"""The sender of traffic against an endpoint made by hand: what it sends, and what it counts."""

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local.traffic import DEPLOYMENT_HEADER, Traffic

REPOSITORY = Path(__file__).parents[2]
type Answer = Callable[[int], Awaitable[web.Response]]


@dataclass(slots=True)
class Endpoint:
    """Answers each request by its number and remembers what came."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    active: int = 0
    most: int = 0


@asynccontextmanager
async def an_endpoint(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()

    async def handle(request: web.Request) -> web.Response:
        endpoint.bodies.append(await request.read())
        endpoint.headers.append(dict(request.headers))
        endpoint.active += 1
        endpoint.most = max(endpoint.most, endpoint.active)
        try:
            return await answer(len(endpoint.bodies))
        finally:
            endpoint.active -= 1

    app = web.Application()
    app.router.add_post("/score", handle)
    server = web.AppRunner(app)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0, ssl_context=tls).start()
    scheme = "http" if tls is None else "https"
    endpoint.url = f"{scheme}://127.0.0.1:{server.addresses[0][1]}/score"
    try:
        yield endpoint
    finally:
        await server.cleanup()


async def by_blue(_number: int) -> web.Response:
    return web.json_response([1], headers={DEPLOYMENT_HEADER: "blue"})


def a_traffic(
    url: str, *, bodies: Sequence[bytes] = (b"[1]",), rate: float = 200, concurrency: int = 4
) -> Traffic:
    headers = {"X-Of": "test"}
    return Traffic(
        url=url, ca=None, headers=headers, bodies=bodies, rate=rate, concurrency=concurrency
    )


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - the sender itself says nothing, and need not
            await asyncio.sleep(0.005)


def test_it_counts_by_status_and_by_the_deployment_that_answered() -> None:
    async def answer(number: int) -> web.Response:
        name = "green" if number % 4 == 0 else "blue"
        status = 424 if number % 10 == 0 else 200
        return web.json_response("no", status=status, headers={DEPLOYMENT_HEADER: name})

    async def story() -> None:
        async with an_endpoint(answer) as endpoint:
            traffic = a_traffic(endpoint.url)
            await traffic.start()
            await until(lambda: len(endpoint.bodies) >= 40)
            await traffic.stop()
            seen, sent = traffic.summary(), len(endpoint.bodies)
            assert seen["sent"] == sent
            assert seen["failed"] == sent // 10
            assert seen["statuses"] == {"200": sent - sent // 10, "424": sent // 10}
            assert seen["deployments"]["green"] == sent // 4 - sent // 20
            assert sum(seen["deployments"].values()) == sent - sent // 10
            assert seen["failures"][0]["detail"] == '"no"'
            green = sent // 20
            assert seen["failed_by"] == {
                "blue": {"424": sent // 10 - green},
                "green": {"424": green},
            }
            assert seen["first"] is not None
            assert seen["last"] is not None
            assert seen["first"] < seen["last"]
            assert set(endpoint.bodies) == {b"[1]"}
            assert {headers["X-Of"] for headers in endpoint.headers} == {"test"}

    asyncio.run(story())


def test_bodies_are_sent_in_turn() -> None:
    async def story() -> None:
        async with an_endpoint(by_blue) as endpoint:
            traffic = a_traffic(endpoint.url, bodies=(b"[1]", b"[2]", b"[3]"), concurrency=1)
            await traffic.start()
            await until(lambda: len(endpoint.bodies) >= 7)
            await traffic.stop()
            assert endpoint.bodies[:7] == [b"[1]", b"[2]", b"[3]", b"[1]", b"[2]", b"[3]", b"[1]"]

    asyncio.run(story())


def test_the_seconds_add_up_and_show_a_shift() -> None:
    shifted = asyncio.Event()

    async def answer(_number: int) -> web.Response:
        name = "green" if shifted.is_set() else "blue"
        return web.json_response([], headers={DEPLOYMENT_HEADER: name})

    async def story() -> None:
        async with an_endpoint(answer) as endpoint:
            traffic = a_traffic(endpoint.url, rate=50)
            await traffic.start()
            await until(lambda: len(traffic.summary()["seconds"]) > 1)
            shifted.set()
            at = len(traffic.summary()["seconds"])
            await until(lambda: len(traffic.summary()["seconds"]) > at)
            await traffic.stop()
            seen = traffic.summary()
            assert "green" not in seen["seconds"][0]["deployments"]
            assert "blue" not in seen["seconds"][-1]["deployments"]
            counts = [sum(second["deployments"].values()) for second in seen["seconds"]]
            assert sum(counts) == seen["sent"]

    asyncio.run(story())


def test_a_request_without_an_answer_is_a_failure() -> None:
    async def story() -> None:
        async with an_endpoint(by_blue) as endpoint:
            url = endpoint.url
        traffic = a_traffic(url)  # nobody listens there any more
        await traffic.start()
        await until(lambda: traffic.summary()["failed"] >= 3)
        await traffic.stop()
        seen = traffic.summary()
        assert seen["unanswered"] == {"ClientConnectorError": seen["sent"]}
        assert (seen["failed"], seen["statuses"]) == (seen["sent"], {})
        assert seen["failures"][0]["status"] is None
        assert seen["failed_by"] == {"nobody": {"none": seen["sent"]}}

    asyncio.run(story())


def test_a_slow_endpoint_gets_no_more_at_once_than_asked_and_no_backlog() -> None:
    took = 0.02  # seconds an answer takes at least

    async def answer(number: int) -> web.Response:
        await asyncio.sleep(took)
        return await by_blue(number)

    async def story() -> None:
        async with an_endpoint(answer) as endpoint:
            traffic = a_traffic(endpoint.url, rate=1000, concurrency=3)
            await traffic.start(seconds=0.3)  # 300 fall due, 3 at once leave room for 45
            await traffic.ended()
            assert traffic.summary()["sent"] <= 3 * (0.3 / took + 2)
            assert endpoint.most == 3

    asyncio.run(story())


def test_it_ends_by_itself_and_starts_once() -> None:
    async def story() -> None:
        async with an_endpoint(by_blue) as endpoint:
            traffic = a_traffic(endpoint.url)
            await traffic.start(seconds=0.2)
            with pytest.raises(RuntimeError, match="started already"):
                await traffic.start()
            async with asyncio.timeout(30):
                await traffic.ended()
            assert traffic.summary()["statuses"] == {"200": len(endpoint.bodies)}

    asyncio.run(story())


def make_certificate(folder: Path) -> ssl.SSLContext:
    """Write a certificate of its own authority for loopback and give the server's side of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "traffic test")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
    )
    signed = builder.sign(key, hashes.SHA256())
    (folder / "ca.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


async def run_program(*arguments: str | Path, stdin: bool = False) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.traffic", *map(str, arguments)),
        cwd=REPOSITORY,
        stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )


def test_the_program_trusts_the_given_authority_and_prints_what_it_saw(tmp_path: Path) -> None:
    async def story() -> None:
        tls = make_certificate(tmp_path)
        body = tmp_path / "row.json"
        body.write_bytes(b'{"data": [[1]]}')
        async with an_endpoint(by_blue, tls) as endpoint, asyncio.timeout(60):
            options: list[str | Path] = [
                "--key",
                "k1",
                "--ca",
                tmp_path / "ca.pem",
                "--deployment",
                "blue",
            ]
            process = await run_program(
                *("--url", endpoint.url, "--body", body, "--rate", "50", "--seconds", "0.5"),
                *options,
            )
            output, _ = await process.communicate()
        ready, summary = map(json.loads, output.splitlines())
        assert (process.returncode, ready["ready"]) == (0, True)
        assert summary["statuses"] == {"200": len(endpoint.bodies)}
        assert summary["deployments"] == {"blue": len(endpoint.bodies)}
        assert endpoint.bodies[0] == b'{"data": [[1]]}'
        assert endpoint.headers[0]["Authorization"] == "Bearer k1"
        assert endpoint.headers[0][DEPLOYMENT_HEADER] == "blue"

    asyncio.run(story())


def test_the_program_ends_early_with_a_summary_or_at_once_with_its_parent(tmp_path: Path) -> None:
    async def story() -> None:
        body = tmp_path / "row.json"
        body.write_bytes(b"[1]")
        async with an_endpoint(by_blue) as endpoint, asyncio.timeout(60):
            asked: list[str | Path] = ["--url", endpoint.url, "--body", body, "--seconds", "3000"]
            process = await run_program(*asked)
            await until(lambda: len(endpoint.bodies) > 3)
            process.terminate()
            output, _ = await process.communicate()
            assert json.loads(output.splitlines()[-1])["statuses"] == {"200": len(endpoint.bodies)}

            process = await run_program(*asked, "--stop-with-stdin", stdin=True)
            assert process.stdout is not None
            assert json.loads(await process.stdout.readline())["ready"] is True
            output, _ = await process.communicate()  # closes its stdin, as a parent's death does
            assert (process.returncode, output) == (0, b"")

    asyncio.run(story())


def test_the_program_sends_the_lines_of_a_file_and_refuses_one_without(tmp_path: Path) -> None:
    async def story() -> None:
        lines, nothing = tmp_path / "rows.jsonl", tmp_path / "empty.jsonl"
        lines.write_bytes(b"[1]\n\n[2]\n")
        nothing.write_bytes(b"\n")
        async with an_endpoint(by_blue) as endpoint, asyncio.timeout(60):
            asked = ("--url", endpoint.url, "--seconds", "0.3", "--concurrency", "1")
            process = await run_program(*asked, "--bodies", lines)
            await process.communicate()
            assert (process.returncode, set(endpoint.bodies)) == (0, {b"[1]", b"[2]"})
            process = await run_program(*asked, "--bodies", nothing)
            await process.communicate()
            assert process.returncode == 1

    asyncio.run(story())


@pytest.mark.parametrize("option", ["--rate", "--concurrency", "--seconds"])
def test_the_program_refuses_what_would_never_end_or_begin(tmp_path: Path, option: str) -> None:
    async def story() -> int | None:
        process = await run_program("--url", "x", "--body", tmp_path / "b", option, "0")
        await process.communicate()
        return process.returncode

    assert asyncio.run(story()) == 2
