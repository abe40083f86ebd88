from __future__ import annotations

import pytest

from function.errors import MethodNotAllowed, NotFound
from function.request.routes import operation

PATHS = {
    "/healthz": "healthz",
    "/ready": "ready",
    "/publickey": "publickey",
    "/public-key": "publickey",
    "/metrics": "metrics",
}


@pytest.mark.parametrize("path", ["/", "/build", "/build/", "//"])
def test_a_post_builds(path: str) -> None:
    assert operation("POST", path, {}) == "build"


@pytest.mark.parametrize(("path", "expected"), PATHS.items())
def test_what_is_read_has_a_path_of_its_own(path: str, expected: str) -> None:
    assert operation("GET", path, {}) == operation("HEAD", f"{path}/", {}) == expected


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("named", sorted(set(PATHS.values())))
def test_every_operation_can_be_asked_for_at_the_root(method: str, named: str) -> None:
    assert operation(method, "/", {"op": named}) == named


def test_a_build_can_be_asked_for_by_name() -> None:
    assert operation("POST", "/", {"op": "build"}) == "build"


def test_an_empty_operation_is_none() -> None:
    assert operation("POST", "/", {"op": ""}) == "build"


def test_only_the_root_listens_to_the_query() -> None:
    assert operation("POST", "/build", {"op": "healthz"}) == "build"


@pytest.mark.parametrize("path", ["/nothing", "/build/x", "/Build"])
def test_other_paths_are_not_found(path: str) -> None:
    with pytest.raises(NotFound, match="POST a signed tar to /build"):
        operation("POST", path, {})


def test_other_operations_are_not_found_and_the_known_ones_told() -> None:
    with pytest.raises(NotFound, match='"stop"; there are build, publickey'):
        operation("POST", "/", {"op": "stop"})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/build", ("POST",)), ("PUT", "/", ("POST",)), ("POST", "/ready", ("GET", "HEAD"))],
)
def test_a_wrong_method_is_told_the_right_ones(
    method: str, path: str, allowed: tuple[str, ...]
) -> None:
    with pytest.raises(MethodNotAllowed, match=f"takes {allowed[0]}, not {method}") as caught:
        operation(method, path, {})
    assert caught.value.allowed == allowed
