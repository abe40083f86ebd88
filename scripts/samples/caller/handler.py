"""Builds the handler that it is sent, waits for the image, and deploys it.

curl --data-binary @handler.py http://GATEWAY/function/caller?name=hello
"""

import json
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
    signed = {"X-Build-Signature": signature(request)}
    built = gateway.call("/function/builder-fn", request, signed)
    if built.status != 200:
        kind = {"Content-Type": built.headers.get_content_type()}
        return {"statusCode": built.status, "body": built.body, "headers": kind}

    # By its digest: the tag may lead to another image by the time it is pulled.
    result = json.loads(built.body)
    image = result["imageRef"]
    deployed = gateway.deploy(name, image, result["created"])
    if deployed.status >= 300:
        return {"statusCode": 502, "body": b"OpenFaaS does not deploy it: " + deployed.body}
    return {"body": f"{name} is deployed: {image}\n"}
