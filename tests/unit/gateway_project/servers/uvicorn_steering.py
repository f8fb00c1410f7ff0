"""Steering the child of `uvicorn_child` from a test."""

import asyncio
from typing import Any

from tests.raw.http import Body, HttpConnection, Response, request
from tests.unit.gateway_project.servers.uvicorn_child import Child

MIB = 1 << 20
HELLO = request("GET", "/hello")


async def control(
    child: Child, name: str, do: str = "", *, data: bytes = b"", code: int | None = None
) -> dict[str, Any]:
    target = f"/control/{name}?do={do}" + ("" if code is None else f"&code={code}")
    async with await HttpConnection.open(child.url) as connection:
        state: dict[str, Any] = (await connection.exchange(request("POST", target, body=data), "POST")).json()
        return state


async def write(child: Child, name: str, data: bytes) -> bool:
    state = await control(child, name, "write", data=data)
    return bool(state["written"][-1])


async def until(child: Child, name: str, wanted: str, value: object = True, within: float = 5.0) -> dict[str, Any]:
    async with asyncio.timeout(within):
        while (state := await control(child, name)).get(wanted) != value:
            await asyncio.sleep(0.02)
        return state


async def ended(child: Child, what: str, within: float = 5.0) -> None:
    async with asyncio.timeout(within):
        while what not in (await control(child, "-"))["ended"]:
            await asyncio.sleep(0.02)


async def open_stream(child: Child, name: str, **options: Any) -> tuple[HttpConnection, Body]:
    connection = await HttpConnection.open(child.url, **options)
    await connection.send(request("GET", f"/stream/{name}"))
    body = Body(connection, await connection.read_head())
    assert await body.read() == b": open\n\n"
    await until(child, name, "known")
    return connection, body


def problem(response: Response, status: int, slug: str) -> None:
    assert response.status == status
    assert response.headers.get("content-type") == "application/problem+json"
    assert response.json()["type"] == f"/problems/{slug}"
    assert response.json()["status"] == status


async def pour(connection: HttpConnection, data: bytes) -> None:
    """Send without end, a little at a time."""
    async with asyncio.timeout(4):
        while True:
            connection.writer.write(data)
            await connection.writer.drain()
            await asyncio.sleep(0.01)
