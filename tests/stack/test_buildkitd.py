"""The settings that buildkitd is given."""

import tomllib
from pathlib import Path

from stack.daemons import buildkitd
from stack.daemons.buildkitd import RegistrySettings


def test_public_registries_are_asked_for_at_the_mirror_over_plain_http() -> None:
    text = buildkitd.configuration("127.0.0.1:5050", ("docker.io", "ghcr.io"), ())

    assert tomllib.loads(text) == {
        "registry": {
            "docker.io": {"mirrors": ["127.0.0.1:5050"]},
            "ghcr.io": {"mirrors": ["127.0.0.1:5050"]},
            "127.0.0.1:5050": {"http": True},
        }
    }


def test_only_registries_out_of_reach_are_mirrored() -> None:
    told = tomllib.loads(buildkitd.configuration("127.0.0.1:5050", ("ghcr.io",), ()))

    assert "docker.io" not in told["registry"]


def test_other_local_registries_speak_plain_http() -> None:
    told = tomllib.loads(buildkitd.configuration(None, ("docker.io",), ["127.0.0.1:1"]))

    assert told == {"registry": {"127.0.0.1:1": {"http": True}}}


def test_a_registry_of_an_own_authority_is_told_with_its_certificate() -> None:
    own = RegistrySettings(http=False, ca=[Path("/x/authority.pem")])
    told = tomllib.loads(buildkitd.configuration("a:1", ("docker.io",), ["b:1"], {"c:1": own}))

    assert told["registry"]["c:1"] == {"http": False, "ca": ["/x/authority.pem"]}
    assert told["registry"]["docker.io"] == {"mirrors": ["a:1"]}


def test_a_registry_may_be_trusted_blindly() -> None:
    told = tomllib.loads(
        buildkitd.configuration(None, (), (), {"c:1": RegistrySettings(insecure=True)})
    )

    assert told == {"registry": {"c:1": {"insecure": True}}}
