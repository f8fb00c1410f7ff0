"""FastAPI: an endpoint that answers at once and publishes then. Run: uvicorn --port 8001 fastapi_app:app."""

import json

from fastapi import BackgroundTasks, FastAPI
from gateway import publish

app = FastAPI()


@app.post("/orders/{number}/pay")
def pay(number: int, background: BackgroundTasks) -> dict[str, int | str]:
    """Answers, then publishes: in a thread, since `publish` waits when it must try again."""
    background.add_task(publish, "orders", json.dumps({"order": number, "state": "paid"}), event="paid")
    return {"order": number, "state": "paid"}
