from __future__ import annotations

from function.buildkit.solve_request import SolveSpec, frontend_attrs, solve_request


def test_asks_for_an_image_that_is_pushed() -> None:
    request = solve_request(SolveSpec(ref="r", image="registry:5000/a:1"), "session")

    [exporter] = request.Exporters
    assert exporter.Type == "image"
    assert dict(exporter.Attrs) == {"name": "registry:5000/a:1", "push": "true"}
    assert (request.Ref, request.Session, request.Frontend) == ("r", "session", "dockerfile.v0")


def test_without_an_image_nothing_is_exported() -> None:
    assert list(solve_request(SolveSpec(ref="r"), "session").Exporters) == []


def test_build_args_and_platforms_are_the_frontends() -> None:
    attrs = frontend_attrs({"A": "1", "EMPTY": ""}, ("linux/amd64", "linux/arm64"))

    assert attrs == {
        "build-arg:A": "1",
        "build-arg:EMPTY": "",
        "platform": "linux/amd64,linux/arm64",
    }
    assert dict(solve_request(SolveSpec(ref="r", frontend_attrs=attrs), "s").FrontendAttrs) == attrs


def test_without_platforms_the_daemon_chooses_its_own() -> None:
    assert frontend_attrs({}, ()) == {}
