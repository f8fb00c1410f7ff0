"""History in a database, seen from outside: it outlives the process, however that ends, and waits for its tables."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx

from tests.conformance.subject import eventually
from tests.faults.conftest import Start
from tests.faults.nodes import is_ready
from tests.faults.subject import Subject
from tests.gateway import RunningGateway, migrate

KEY = "key-of-both-runs"


async def published(gateway: Subject, event_id: str) -> bool:
    """Publish to the topic "kept"; whether it was answered 200."""
    try:
        response = await gateway.publish("kept", "x", id=event_id)
    except httpx.TransportError:
        return False
    assert response.status_code in (200, 503), response.text
    return response.status_code == 200


async def test_what_was_answered_outlives_a_crash(start: Start, server: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'history.sqlite3'}"
    await asyncio.to_thread(migrate, url)
    settings = {"history": "kept=10000", "history_store": "database", "database_url": url, "api_keys": KEY}
    answered: list[str] = []
    crashing = RunningGateway(server, **settings)  # type: ignore[arg-type]
    crashing.key = KEY
    await asyncio.to_thread(crashing.start)
    async with httpx.AsyncClient(
        base_url=crashing.url, headers={"authorization": f"Bearer {KEY}"}, trust_env=False
    ) as http:
        gateway = Subject(crashing, http)
        await eventually(lambda: is_ready(gateway))

        async def publish(publisher: int) -> None:
            number = 0
            while crashing.running and await published(gateway, f"{publisher}-{number}"):
                answered.append(f"{publisher}-{number}")
                number += 1

        publishing = [asyncio.create_task(publish(publisher)) for publisher in range(8)]
        async with gateway.sse("kept") as stream:
            last_id = (await stream.events(60))[-1].id
        gateway.process.kill()
        await asyncio.gather(*publishing)
    await asyncio.to_thread(crashing.stop)
    assert len(answered) > 30
    again = await start(**settings)
    await eventually(lambda: is_ready(again))
    async with again.sse("kept", headers=[("last-event-id", "of-nobody")]) as stream:
        gap = await stream.next_event()
        assert (gap.event, gap.json()) == (
            "gateway.gap",
            {"topic": "kept", "missed": None, "reason": "unknown-id"},
        )
        kept = [event.id for event in await stream.events(len(answered))]
        # What was on its way at the end may be there too, and goes nowhere else.
        async with again.sse("kept", headers=[("last-event-id", last_id or "")]) as resumed:
            assert await published_with(again, "live")
            follows: list[str | None] = []
            while (event := await resumed.next_event()).id != "live":
                follows.append(event.id)
        while (event := await stream.next_event()).id != "live":
            kept.append(event.id)
    assert len(set(kept)) == len(kept)
    assert set(answered) <= set(kept)
    assert follows == kept[kept.index(last_id) + 1 :]
    for publisher in range(8):
        own = [event_id for event_id in kept if event_id and event_id.startswith(f"{publisher}-")]
        assert own == [f"{publisher}-{number}" for number in range(len(own))]


async def published_with(gateway: Subject, event_id: str) -> bool:
    gateway.http.headers["authorization"] = f"Bearer {KEY}"
    return await published(gateway, event_id)


async def test_a_gateway_waits_for_its_tables_and_says_so(start: Start, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'history.sqlite3'}"
    gateway = await start(history="kept=10", history_store="database", database_url=url)
    said = await asyncio.to_thread(gateway.running.wait_for_log, "placement store unreachable", timeout=10)
    assert "python manage.py migrate" in said["detail"]
    assert not await is_ready(gateway)
    assert not await published(gateway, "1")
    await asyncio.to_thread(migrate, url)
    await eventually(lambda: is_ready(gateway))
    assert await published(gateway, "1")


async def test_a_gateway_whose_database_is_away_serves_what_needs_none_and_says_so(
    start: Start, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'history.sqlite3'}"
    await asyncio.to_thread(migrate, url)
    gateway = await start(history="kept=10", history_store="database", database_url=url)

    async def history() -> str:
        answer = await gateway.http.get("/ready", headers={"accept": "application/json"})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["history"])

    async def says(state: str) -> bool:
        return await history() == state

    await eventually(lambda: is_ready(gateway))
    assert await says("ok")
    with closing(sqlite3.connect(tmp_path / "history.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert not await published(gateway, "1")
        assert await says("unavailable")
        async with gateway.sse("live") as stream:
            await gateway.publish("live", "x", id="2")
            assert (await stream.next_event()).id == "2"
        other.execute("ROLLBACK")
    await eventually(lambda: says("ok"))
    assert await published(gateway, "3")


async def test_a_gateway_with_another_store_opens_no_database(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite3"
    gateway = await start(history="kept=10", history_store="memory", database_url=f"sqlite:///{file}")
    assert await published(gateway, "1")
    assert (await gateway.get("/topics"))["items"]
    assert not [path for path in (open_file.path for open_file in gateway.process.open_files()) if "sqlite" in path]
    assert not file.exists()
