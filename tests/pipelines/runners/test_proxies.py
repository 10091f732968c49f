"""Real calls through the reverse proxies that the documentation tells of, in the configurations it shows."""

import asyncio
import dataclasses
import os
import shutil
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from blockbuster import BlockBuster

from callpipe.pipelines.drills.stage import Serving, serving
from callpipe.transports.bandwidth.emulator import Caller, CallReport, CarrierDelays, parse_script
from callpipe.transports.speech.tones import ToneVoice

ROOT = Path(__file__).parents[3]
SHOWN = ROOT / "docs" / "how-to" / "deploy"
ECHO = ROOT / "bots" / "echo.py"
HOST = "localhost"
SCRIPT = "steps: [{say: hello there}, {silence: {ms: 600}}, hang_up]"

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


class Wire:
    """Stands between a proxy and callpipe, and notes what each connection asked for."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections: list[list[str]] = []

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked: list[str] = []
        self.connections.append(asked)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        back = asyncio.create_task(self._pass_on(up_reader, writer, []))
        self._tasks.add(back)
        back.add_done_callback(self._tasks.discard)
        await self._pass_on(reader, up_writer, asked)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[str]
    ) -> None:
        with suppress(ConnectionError):
            while read := await reader.read(65536):
                first = read.split(b"\r\n", 1)[0].decode("latin-1")
                if first.endswith("HTTP/1.1"):
                    asked.append(first.split(" ")[1].rpartition("/")[2])
                writer.write(read)
                await writer.drain()
        writer.close()


@dataclasses.dataclass
class Proxied:
    """A running `callpipe serve` behind a proxy that ends TLS."""

    served: Serving
    trusting: ssl.SSLContext
    wire: Wire

    async def call(self, **changed: Any) -> CallReport:
        caller = Caller(parse_script(SCRIPT), ToneVoice())
        await asyncio.to_thread(caller.rehearse)
        async with httpx.AsyncClient(verify=self.trusting) as http:
            carrier = self.served.carrier("echo", http=http, delays=CarrierDelays(), **changed)
            return await asyncio.wait_for(carrier.place_call(caller), 60)


@pytest.fixture(autouse=True)
def unwatched(blockbuster: BlockBuster) -> None:
    """The TLS client of the carrier's media sockets writes a temporary file at each handshake."""
    blockbuster.deactivate()


@asynccontextmanager
async def proxied(proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Proxied]:
    port = free_port()
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST)
    chain, key = tmp_path / "fullchain.pem", tmp_path / "privkey.pem"
    trusting = await asyncio.to_thread(ssl.create_default_context)
    await asyncio.to_thread(write_certificate, authority, certificate, chain, key)
    trusting.load_verify_locations(cadata=authority.cert_pem.bytes().decode())
    monkeypatch.setattr("callpipe.transports.websocket._trusted", lambda: trusting)
    url = f"https://{HOST}:{port}"
    async with serving(tmp_path / "calls", bots=[ECHO], CALLPIPE_PUBLIC_URL=url) as served:
        wire = Wire(int(served.url.rpartition(":")[2]))
        relay = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
        upstream = relay.sockets[0].getsockname()[1]
        settings = await asyncio.to_thread(CONFIGURED[proxy], tmp_path, port, upstream)
        process = await asyncio.create_subprocess_exec(proxy, *settings, stderr=asyncio.subprocess.DEVNULL)
        try:
            await answers(url, trusting)
            yield Proxied(dataclasses.replace(served, url=url), trusting, wire)
        finally:
            process.terminate()
            await process.wait()
            relay.close()


def caddy(folder: Path, port: int, upstream: int) -> list[str]:
    shown = (SHOWN / "Caddyfile").read_text()
    tls = f"{HOST}:{port} {{\n\ttls {folder}/fullchain.pem {folder}/privkey.pem"
    written = replaced(shown, {"YOUR.HOST {": tls, "127.0.0.1:8080": f"127.0.0.1:{upstream}"})
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system " + str(folder) + "\n}\n"
    (folder / "Caddyfile").write_text(options + written)
    return ["run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def nginx(folder: Path, port: int, upstream: int) -> list[str]:
    shown = (SHOWN / "nginx.conf").read_text()
    written = replaced(
        shown,
        {
            "listen 443": f"listen {port}",
            "127.0.0.1:8080": f"127.0.0.1:{upstream}",
            "/etc/letsencrypt/live/YOUR.HOST": str(folder),
            "YOUR.HOST": HOST,
        },
    )
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; worker_processes 1;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{written}\n}}\n"
    )
    return ["-c", str(folder / "nginx.conf"), "-e", str(folder / "nginx.log")]


CONFIGURED = {"caddy": caddy, "nginx": nginx}


def replaced(shown: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in shown
        shown = shown.replace(old, new)
    return shown


def write_certificate(authority: trustme.CA, certificate: trustme.LeafCert, chain: Path, key: Path) -> None:
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    chain.write_bytes(chain.read_bytes() + authority.cert_pem.bytes())
    key.write_bytes(certificate.private_key_pem.bytes())
    os.chmod(chain.parent, 0o711)  # noqa: PTH101  a worker of another user reads no file here, but passes through


async def answers(url: str, trusting: ssl.SSLContext) -> None:
    async with httpx.AsyncClient(verify=trusting) as http, asyncio.timeout(20):
        while True:
            with suppress(httpx.TransportError):
                if (await http.get(f"{url}/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.1)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    "proxy",
    [
        pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not here"))
        for name in CONFIGURED
    ],
)
async def test_calls_come_through_a_proxy_whose_connections_are_used_again(
    proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxied(proxy, tmp_path, monkeypatch) as through:
        for _ in range(3):
            report = await through.call()
            assert report.protocol_errors == []
            assert any(report.heard)
        together = await asyncio.gather(*(through.call() for _ in range(4)))
        assert all(any(report.heard) and not report.protocol_errors for report in together)
        status = await asyncio.to_thread(
            httpx.get, f"{through.served.url}/metrics", verify=through.trusting,
            auth=("carrier", through.served.password),
        )  # fmt: skip
    asked = through.wire.connections
    assert any(len(requests) > 3 for requests in asked), f"no connection was used again: {asked}"
    if proxy == "nginx":  # Caddy opens a connection of its own for each media socket
        reused = [requests for requests in asked if "media" in requests[1:]]
        assert reused, f"no media socket came on a connection that had carried a webhook: {asked}"
    assert all("media" not in requests[:-1] for requests in asked), "a media socket's connection was used again"
    assert 'callpipe_calls_begun_total{bot="echo"} 7.0' in status.text
    assert 'callpipe_calls_ended_total{bot="echo",reason="caller"}' in status.text
