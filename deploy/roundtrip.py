"""Exit code 0 when an event published to the gateway at GATEWAY_URL comes back on a stream: `helm test` runs it.

The key is the first of GATEWAY_API_KEYS.
"""

import http.client
import os
import sys
import uuid
from urllib.parse import urlsplit

SECONDS = 20.0


def main() -> int:
    """Subscribe, publish, receive; 0 when all three worked."""
    address = urlsplit(os.environ["GATEWAY_URL"])
    key = os.environ["GATEWAY_API_KEYS"].split(",")[0].strip()
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    topic = f"deployment-test/{uuid.uuid4()}"

    subscriber = kind(address.netloc, timeout=SECONDS)
    subscriber.request("GET", f"{address.path}/sse", headers={"x-sse-topic": topic})
    stream = subscriber.getresponse()
    if stream.status != 200:
        print(f"subscribing was answered with {stream.status}: {stream.read(1000)!r}")
        return 1
    while b"gateway.open" not in stream.readline():
        pass

    publisher = kind(address.netloc, timeout=SECONDS)
    headers = {"authorization": f"Bearer {key}", "x-sse-topic": topic, "x-sse-id": "1"}
    publisher.request("POST", f"{address.path}/publish", b"hello", headers)
    answer = publisher.getresponse()
    text = answer.read(1000)
    if answer.status != 200:
        print(f"publishing was answered with {answer.status}: {text!r}")
        return 1
    while stream.readline() != b"data: hello\n":
        pass
    print(f"published to {topic} and received")
    return 0


if __name__ == "__main__":
    sys.exit(main())
