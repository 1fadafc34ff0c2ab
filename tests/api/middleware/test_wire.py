"""What is written in one breath goes out as one packet."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import uvicorn

from herding.api.middleware.wire import Joined, Protocol
from tests.support.ports import listening


class Packets:
    """A transport that remembers what was sent at once."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed_after: int | None = None

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.closed_after = len(self.sent)

    def get_extra_info(self, name: str) -> str:
        return f"the {name}"


def joined(packets: Packets) -> Joined:
    return Joined(packets, asyncio.get_running_loop())  # type: ignore[arg-type]


async def test_head_and_body_are_one_packet() -> None:
    packets = Packets()
    transport = joined(packets)
    transport.write(b"head")
    assert packets.sent == []
    transport.write(b"body")
    assert packets.sent == [b"headbody"]
    await asyncio.sleep(0)
    assert packets.sent == [b"headbody"]
    transport.write(b"more")
    await asyncio.sleep(0)
    assert packets.sent == [b"headbody", b"more"]


async def test_what_is_held_goes_out_before_the_end() -> None:
    packets = Packets()
    transport = joined(packets)
    transport.write(b"last words")
    transport.close()
    assert packets.sent == [b"last words"]
    assert packets.closed_after == 1
    await asyncio.sleep(0)
    assert packets.sent == [b"last words"]


async def test_all_else_is_the_transports() -> None:
    assert joined(Packets()).get_extra_info("peername") == "the peername"


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(300):
        await send({"type": "http.response.body", "body": b"%d " % number * 1000, "more_body": True})
    await send({"type": "http.response.body", "body": b"end"})


async def test_a_server_with_it_sends_everything_in_order() -> None:
    with listening() as sock:
        server = uvicorn.Server(uvicorn.Config(app, http=Protocol, lifespan="off", log_level="error"))
        serving = asyncio.create_task(server.serve([sock]))
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            for _ in range(3):
                answer = await http.post(f"http://127.0.0.1:{sock.getsockname()[1]}/", content=b"x" * 100_000)
                assert answer.text == "".join(f"{number} " * 1000 for number in range(300)) + "end"
        server.should_exit = True
        await serving
