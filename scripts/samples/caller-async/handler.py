"""Has the handler that it is sent built later, and the function `built` told how that ended.

curl --data-binary @handler.py http://GATEWAY/function/caller-async?name=hello
"""

import os

from .building import gateway
from .building.request import build_request
from .building.signature import signature

REGISTRY = os.environ["registry"]


def handle(event, context):
    name = event.query.get("name")
    if not name:
        return {"statusCode": 400, "body": "Say what the function is called: ?name=hello.\n"}

    request = build_request(f"{REGISTRY}/{name}:latest", event.body)
    headers = {
        "X-Build-Signature": signature(request),
        "X-Callback-Url": f"{gateway.URL}/function/built",
    }
    queued = gateway.call("/async-function/builder-fn", request, headers)
    if queued.status != 202:
        kind = {"Content-Type": queued.headers.get_content_type()}
        return {"statusCode": queued.status, "body": queued.body, "headers": kind}
    return {"statusCode": 202, "headers": {"X-Call-Id": queued.headers["X-Call-Id"]}}
