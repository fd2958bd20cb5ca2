"""Publishes events from a process of its own, to be killed: STORE ENDPOINT COUNT."""

import asyncio
import sys
from pathlib import Path

from local.event_grid import EventGrid, Subscription


async def main(store: Path, endpoint: str, count: int) -> None:
    grid = EventGrid(store=store)
    await grid.start()
    await grid.subscribe(Subscription(name="sub", endpoint_url=endpoint))
    for number in range(count):
        await grid.publish(
            {
                "id": f"event-{number}",
                "topic": "/t",
                "subject": f"models/fraud:{number}",
                "eventType": "ModelRegistered",
                "eventTime": "2026-11-22T10:00:00Z",
                "data": {},
                "dataVersion": "1",
            }
        )
    print("published", flush=True)  # noqa: T201 - the parent waits for it
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
