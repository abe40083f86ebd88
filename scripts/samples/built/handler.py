"""Is told how builds ended, believes what builder-fn signed, and deploys the images.

Anyone who has seen a signed result can send it once more; one that is older than what is deployed is refused.
"""

import json

from .building import gateway
from .building.signature import is_signed


def handle(event, context):
    # Over the very bytes, before anything reads them.
    if not is_signed(event.body, event.headers.get("X-Build-Result-Signature", "")):
        return {"statusCode": 401, "body": "No builder of ours has signed this.\n"}

    result = json.loads(event.body)
    if result["status"] != "success":
        # A request that could not be read names no image.
        print(f"{result.get('image', 'An image')} was not built: {result['error']}", flush=True)
        return None

    name = result["image"].rpartition("/")[2].partition(":")[0]
    if result["created"] <= gateway.deployed_since(name):
        return {"statusCode": 409, "body": f"{name} is deployed from a newer build already.\n"}
    deployed = gateway.deploy(name, result["imageRef"], result["created"])
    if deployed.status >= 300:
        print(f"{name} was not deployed: {deployed.body.decode()}", flush=True)
        return {"statusCode": 502}
    print(f"{name} is deployed: {result['imageRef']}", flush=True)
    return None
