from __future__ import annotations

import hashlib

from build_client.protocol.build_id import canonical_name, id_of_call
from build_client.protocol.signature import sign
from hypothesis import given
from hypothesis import strategies as st

from function.builds import job
from function.registry.reference import Reference

# As people write them: with and without a registry, a namespace, a tag and a digest.
domains = st.sampled_from(
    [
        "",
        "docker.io/",
        "index.docker.io/",
        "localhost/",
        "localhost:5000/",
        "r.example.com/",
        "r:5000/",
        "a/",
    ]
)
paths = st.sampled_from(["fn", "team/fn", "a/b/c", "library/fn"])
tags = st.sampled_from(["", ":latest", ":1.0"])
digests = st.sampled_from(["", f"@sha256:{'0' * 64}"])
images = st.builds(lambda *parts: "".join(parts), domains, paths, tags, digests)


@given(image=images)
def test_the_name_is_the_one_that_the_builder_goes_by(image: str) -> None:
    assert canonical_name(image) == Reference.parse(image).name


@given(image=images, call_id=st.text(), body=st.binary(), secret=st.binary(min_size=1))
def test_a_queued_calls_build_is_known_beforehand(
    image: str, call_id: str, body: bytes, secret: bytes
) -> None:
    signature = sign(body, secret)
    expected = job.id_of_call(Reference.parse(image).name, call_id, signature)

    assert id_of_call(image, call_id, body, signature) == expected


@given(body=st.binary())
def test_so_is_an_unsigned_calls(body: bytes) -> None:
    digest = hashlib.sha256(body).hexdigest()

    assert id_of_call("fn", "c", body, None) == job.id_of_call("docker.io/library/fn", "c", digest)
