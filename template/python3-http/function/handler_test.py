from .handler import handle


def test_says_hello():
    assert handle(event=None, context=None) == {
        "statusCode": 200,
        "body": "Hello from OpenFaaS!",
    }
