from __future__ import annotations

import pytest

from function.buildkit.client import target
from function.errors import NotReady


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("tcp://buildkitd:1234", "dns:///buildkitd:1234"),
        ("tcp://127.0.0.1:1234/", "dns:///127.0.0.1:1234"),
        ("tcp://[::1]:1234", "dns:///[::1]:1234"),
        ("unix:///run/buildkit/buildkitd.sock", "unix:/run/buildkit/buildkitd.sock"),
    ],
)
def test_an_address_is_named_as_grpc_names_it(url: str, name: str) -> None:
    assert target(url) == name


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("", id="nothing"),
        pytest.param("buildkitd:1234", id="no scheme"),
        pytest.param("http://buildkitd:1234", id="another scheme"),
        pytest.param("tcp://buildkitd", id="no port"),
        pytest.param("tcp://:1234", id="no host"),
        pytest.param("tcp://buildkitd:port", id="a port that is no number"),
        pytest.param("tcp://buildkitd:99999", id="a port out of range"),
        pytest.param("tcp://buildkitd:0", id="port zero"),
        pytest.param("tcp://[::1:1234", id="half an IPv6 address"),
        pytest.param("tcp://buildkitd:1234/path", id="a path"),
        pytest.param("unix://", id="a socket without a path"),
        pytest.param("unix://run/buildkitd.sock", id="a relative path"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(NotReady, match=r'^buildkit_url must be "tcp://host:port" or'):
        target(url)
