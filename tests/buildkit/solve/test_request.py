from __future__ import annotations

import json

from function.buildkit.solve.request import SolveSpec, solve_request


def test_asks_for_an_image_that_is_pushed() -> None:
    request = solve_request(SolveSpec(ref="r", names=("registry:5000/a:1",)), "session")

    [exporter] = request.Exporters
    assert exporter.Type == "image"
    assert dict(exporter.Attrs) == {"name": "registry:5000/a:1", "push": "true"}
    assert (request.Ref, request.Session, request.Frontend) == ("r", "session", "dockerfile.v0")


def test_several_names_are_one_image() -> None:
    names = ("registry:5000/a:1", "registry:5000/b:2")

    [exporter] = solve_request(SolveSpec(ref="r", names=names), "session").Exporters

    assert exporter.Attrs["name"] == "registry:5000/a:1,registry:5000/b:2"


def test_without_a_name_nothing_is_exported() -> None:
    assert list(solve_request(SolveSpec(ref="r"), "session").Exporters) == []


def test_the_frontend_is_told_what_the_build_wants() -> None:
    attrs = {"build-arg:A": "1", "platform": "linux/amd64"}

    assert dict(solve_request(SolveSpec(ref="r", frontend_attrs=attrs), "s").FrontendAttrs) == attrs


def test_a_build_with_secrets_names_no_frontend_and_leaves_that_to_the_gateway() -> None:
    attrs = {"build-arg:SOURCE_DATE_EPOCH": "0"}  # which the exporter reads, too
    spec = SolveSpec(ref="r", frontend_attrs=attrs, secret_ids={"token": "token@5ta"})

    request = solve_request(spec, "s")

    assert request.Frontend == ""
    assert dict(request.FrontendAttrs) == attrs


def test_a_build_that_asks_for_it_is_kept_out_of_the_daemons_history() -> None:
    assert solve_request(SolveSpec(ref="r", internal=True), "s").Internal
    assert not solve_request(SolveSpec(ref="r"), "s").Internal


def test_an_index_of_images_names_no_frontend_and_leaves_that_to_us() -> None:
    assert solve_request(SolveSpec(ref="r", joins=True), "s").Frontend == ""


def test_a_cache_stands_in_the_config_of_an_image_that_is_pushed() -> None:
    pushed = SolveSpec(ref="r", names=("registry:5000/a:1",), inline_cache=True)

    assert [each.Type for each in solve_request(pushed, "s").Cache.Exports] == ["inline"]
    assert not solve_request(SolveSpec(ref="r", inline_cache=True), "s").Cache.Exports
    assert not solve_request(SolveSpec(ref="r"), "s").Cache.Exports


def test_the_frontend_is_told_whose_cache_it_may_use() -> None:
    spec = SolveSpec(ref="r", frontend_attrs={"a": "b"}, cache_from=("registry:5000/a:1",))

    attrs = solve_request(spec, "s").FrontendAttrs

    assert attrs["a"] == "b"
    assert json.loads(attrs["cache-imports"]) == [
        {"Type": "registry", "Attrs": {"ref": "registry:5000/a:1"}}
    ]
