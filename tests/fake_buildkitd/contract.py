"""States what the fake holds to, in claims that are tried on the real daemon, too.

A claim is a function of the daemon's `Party`; it asserts what it says.
"""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from function.buildkit.failure.status_details import detail, failed_with
from function.buildkit.image.content import read_blob
from function.buildkit.rpc.llb_bridge import LLBBridge
from function.history.refs import Part, Ref, filters_of_recent
from function.pb import control_pb2 as pb
from function.pb import gateway_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from function.buildkit.rpc.control import Control

    Claim = Callable[["Party"], None]

PATIENCE = 20.0
EMPTY = gateway_pb2.ReturnRequest(result=gateway_pb2.Result())
DETAIL = "com.openfaas.builder/test+json"


@dataclass(frozen=True, kw_only=True)
class Party:
    """Speaks to a daemon on two connections."""

    control: Control
    other: Control
    ref_taken_seconds: float


class Held:
    """A build that waits for us."""

    def __init__(self, control: Control, **fields: object) -> None:
        self.ref = uuid.uuid4().hex
        self.control = control
        self.bridge = LLBBridge(control.channel, self.ref)
        request = pb.SolveRequest(Ref=self.ref, **fields)  # type: ignore[arg-type]
        self.call = control.solve.future(request)
        self.inputs = self._inputs()

    def end(self, request: gateway_pb2.ReturnRequest = EMPTY) -> None:
        self.bridge.return_(request).result()

    def _inputs(self) -> Mapping[str, bytes]:
        """Ask until the daemon has the build, of which it may hear later."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.bridge.inputs(timeout=PATIENCE).result().Definitions
            except grpc.RpcError as exc:
                if exc.code() is not grpc.StatusCode.NOT_FOUND or time.monotonic() > deadline:
                    raise

    def warn(self, url: str) -> None:
        request = gateway_pb2.WarnRequest(
            digest="sha256:" + "0" * 64, short=b"s", detail=[b"d"], url=url
        )
        self.bridge.warn(request, timeout=PATIENCE).result()


@contextmanager
def held(control: Control, **fields: object) -> Iterator[Held]:
    build = Held(control, **fields)
    try:
        yield build
    finally:
        build.call.cancel()


def listed(control: Control, ref: str, *, active: bool = False) -> list[pb.BuildHistoryEvent]:
    request = pb.BuildHistoryRequest(ActiveOnly=active, EarlyExit=True, Filter=[f"ref=={ref}"])
    events = control.listen_build_history(request, timeout=PATIENCE)
    return [event for event in events if event.record.Ref == ref]


def completed(control: Control, ref: str) -> pb.BuildHistoryRecord:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for event in listed(control, ref):
            if event.record.HasField("CompletedAt"):
                assert event.type == pb.COMPLETE
                return event.record
        time.sleep(0.005)
    raise AssertionError("the record was never complete")


def shown(control: Control, ref: str) -> pb.BuildHistoryRecord:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for event in listed(control, ref, active=True):
            assert event.type == pb.STARTED
            return event.record
        time.sleep(0.005)
    raise AssertionError("the build was never active")


def failure(call: grpc.Future[Any]) -> tuple[grpc.StatusCode, str]:
    error = call.exception()
    assert isinstance(error, grpc.RpcError)
    return error.code(), error.details() or ""


def failure_of_stream(call: grpc.CallIterator[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        list(call)
    return raised.value.code(), raised.value.details() or ""


def a_ref_is_refused_while_its_build_is_there(party: Party) -> None:
    with held(party.control) as build:
        again = party.other.solve.future(pb.SolveRequest(Ref=build.ref))

        refusal = (grpc.StatusCode.UNKNOWN, f"job ID {build.ref} exists")
        assert failure(again) == refusal


def a_ref_stays_taken_for_a_while_and_no_longer(party: Party) -> None:
    request = pb.SolveRequest(Ref=uuid.uuid4().hex, Definition=b"")
    party.control.solve(request, timeout=PATIENCE)
    refused = party.control.solve.future(request, timeout=PATIENCE)
    assert failure(refused)[1] == f"job ID {request.Ref} exists"

    time.sleep(1.1 * party.ref_taken_seconds)

    party.control.solve(request, timeout=PATIENCE)


def a_build_of_an_empty_graph_ends_at_once(party: Party) -> None:
    ref = uuid.uuid4().hex
    request = pb.SolveRequest(Ref=ref, Definition=b"", FrontendAttrs={"ours": "ä"})
    party.control.solve(request, timeout=PATIENCE)

    record = completed(party.other, ref)

    assert not record.HasField("error")
    assert dict(record.FrontendAttrs) == {"ours": "ä"}
    assert record.CompletedAt.ToNanoseconds() > record.CreatedAt.ToNanoseconds()


def inputs_of_a_build_can_be_read_back(party: Party) -> None:
    with held(party.control, FrontendInputs={"token": b""}) as build:
        assert dict(build.inputs) == {"token": b""}
        elsewhere = LLBBridge(party.other.channel, build.ref).inputs(timeout=PATIENCE).result()
        assert dict(elsewhere.Definitions) == {"token": b""}


def a_build_ends_as_its_client_says(party: Party) -> None:
    result = gateway_pb2.Result(metadata={"ours": b"said"})
    with held(party.control) as build:
        build.end(gateway_pb2.ReturnRequest(result=result))

        build.call.result(timeout=PATIENCE)

        assert completed(party.control, build.ref).ExporterResponse["ours"] == "said"


def an_error_that_is_returned_is_the_builds_own(party: Party) -> None:
    with held(party.control) as build:
        error = failed_with("It failed.", DETAIL, b"{}")
        build.end(gateway_pb2.ReturnRequest(error=error))

        assert failure(build.call) == (grpc.StatusCode.UNKNOWN, "It failed.")

        record = completed(party.control, build.ref)
        assert (record.error.code, record.error.message) == (2, "It failed.")
        status = read_blob(
            party.other.channel, record.externalError.digest, most=1 << 20, timeout=PATIENCE
        )
        assert detail(status, DETAIL) == b"{}"


def a_result_that_the_build_does_not_have_is_refused(party: Party) -> None:
    with held(party.control) as build:
        result = gateway_pb2.Result(ref=gateway_pb2.Ref(id="nobody's"))
        returning = build.bridge.return_(gateway_pb2.ReturnRequest(result=result))

        assert failure(returning)[1].endswith("return reference nobody's not found")
        assert not build.call.done()


def a_build_that_is_not_there_has_no_bridge(party: Party) -> None:
    ref = uuid.uuid4().hex

    inputs = LLBBridge(party.control.channel, ref).inputs(timeout=PATIENCE)

    code, message = failure(inputs)
    assert code is grpc.StatusCode.NOT_FOUND
    assert message == f"forwarding Inputs: no such job {ref}"


def a_build_that_is_not_there_has_no_status(party: Party) -> None:
    ref = uuid.uuid4().hex

    status = party.control.status(pb.StatusRequest(Ref=ref), timeout=PATIENCE)

    assert failure_of_stream(status) == (grpc.StatusCode.NOT_FOUND, f"no such job {ref}")


def a_build_is_active_until_its_record_is_complete(party: Party) -> None:
    with held(party.control, FrontendAttrs={"ours": "1"}) as build:
        record = shown(party.other, build.ref)
        assert dict(record.FrontendAttrs) == {"ours": "1"}
        assert not record.HasField("CompletedAt")
        assert [event.type for event in listed(party.other, build.ref)] == [pb.STARTED]

        build.end()
        build.call.result(timeout=PATIENCE)

        assert listed(party.other, build.ref, active=True) == []
        assert [event.type for event in listed(party.other, build.ref)] == [pb.COMPLETE]


def no_filter_holds_back_what_is_active(party: Party) -> None:
    with held(party.control) as build:
        shown(party.control, build.ref)
        request = pb.BuildHistoryRequest(EarlyExit=True, Filter=["ref==nobody's"], Limit=1)

        events = [*party.other.listen_build_history(request, timeout=PATIENCE)]

        assert build.ref in {event.record.Ref for event in events}
        assert {event.type for event in events} == {pb.STARTED}


def completed_builds_are_found_by_name_or_pattern(party: Party) -> None:
    prefix, refs = uuid.uuid4().hex, []
    for number in range(3):
        refs.append(f"{prefix}.{number}")
        request = pb.SolveRequest(Ref=refs[-1], Definition=b"")
        party.control.solve(request, timeout=PATIENCE)

    def found(*filters: str, limit: int = 0) -> list[str]:
        request = pb.BuildHistoryRequest(EarlyExit=True, Filter=filters, Limit=limit)
        events = party.other.listen_build_history(request, timeout=PATIENCE)
        return [each.record.Ref for each in events if each.record.Ref.startswith(prefix)]

    assert sorted(found(rf"ref~=^{prefix}(\.[0-9]+)?$")) == refs
    assert sorted(found(f"ref=={refs[0]}", f"ref=={refs[2]}")) == [refs[0], refs[2]]
    assert found(f"ref~=^{prefix}", limit=2) == [refs[2], refs[1]]


def builds_that_began_lately_are_found_with_their_claims_and_nothing_else(party: Party) -> None:
    build_id = uuid.uuid4().hex
    for part in Part:
        request = pb.SolveRequest(Ref=Ref(build_id).of(part), Definition=b"")
        party.control.solve(request, timeout=PATIENCE)

    asked = pb.BuildHistoryRequest(EarlyExit=True, Filter=filters_of_recent(60))
    events = party.other.listen_build_history(asked, timeout=PATIENCE)

    found = {each.record.Ref for each in events if build_id in each.record.Ref}
    assert found == {build_id, f"claim-{build_id}"}


def a_filter_that_cannot_be_read_is_an_error(party: Party) -> None:
    request = pb.BuildHistoryRequest(EarlyExit=True, Filter=["ref=a=b"])
    events = party.control.listen_build_history(request, timeout=PATIENCE)

    code, message = failure_of_stream(events)
    assert code is grpc.StatusCode.UNKNOWN
    assert "failed to parse history filters" in message


def a_record_that_is_not_there_cannot_be_changed(party: Party) -> None:
    """Nor can one of a build that still runs."""
    with held(party.control) as build:
        for ref in (uuid.uuid4().hex, build.ref):
            request = pb.UpdateBuildHistoryRequest(Ref=ref)
            code, said = failure(party.other.update_build_history.future(request, timeout=PATIENCE))
            assert code is grpc.StatusCode.UNKNOWN
            assert said == f"failed to retrieve ref {ref}: file does not exist"


def a_record_that_is_there_is_told_once_more(party: Party) -> None:
    with held(party.control) as build:
        build.end()
        build.call.result()
    events = party.other.listen_build_history(pb.BuildHistoryRequest(), timeout=PATIENCE)
    assert events.initial_metadata()
    next(event for event in events if event.record.Ref == build.ref)

    party.control.update_build_history(pb.UpdateBuildHistoryRequest(Ref=build.ref))

    again = next(event for event in events if event.record.Ref == build.ref)
    assert (again.type, again.record) == (pb.COMPLETE, completed(party.control, build.ref))
    events.cancel()


def a_listener_hears_of_builds_that_come(party: Party) -> None:
    request = pb.BuildHistoryRequest(Filter=["ref==nobody's"])
    events = party.other.listen_build_history(request, timeout=PATIENCE)
    with held(party.control) as build:
        heard = (event for event in events if event.record.Ref == build.ref)
        assert next(heard).type == pb.STARTED
        build.end()
        assert next(heard).type == pb.COMPLETE
    events.cancel()


def a_caller_that_leaves_is_all_that_is_known_of_the_end(party: Party) -> None:
    with held(party.control) as build:
        shown(party.control, build.ref)

        build.call.cancel()

        record = completed(party.control, build.ref)
        assert (record.error.code, record.error.message) == (1, "context canceled")


def warnings_of_a_build_reach_all_readers_and_are_kept(party: Party) -> None:
    with held(party.control) as build:
        live = party.other.status(pb.StatusRequest(Ref=build.ref), timeout=PATIENCE)
        build.warn("first")
        said = [each.url for response in live_until(live, 1) for each in response.warnings]
        assert said == ["first"]
        build.warn("second")
        behind = party.control.status(pb.StatusRequest(Ref=build.ref), timeout=PATIENCE)
        [response] = live_until(behind, 2)
        assert [each.url for each in response.warnings] == ["first", "second"]

        build.end()
        build.call.result(timeout=PATIENCE)

        assert [each.url for response in live for each in response.warnings] == ["second"]
        kept = party.control.status(pb.StatusRequest(Ref=build.ref), timeout=PATIENCE)
        assert [each.url for response in kept for each in response.warnings] == ["first", "second"]


def live_until(responses: Iterable[pb.StatusResponse], warnings: int) -> list[pb.StatusResponse]:
    """Return the first *responses*, up to the one that completes so many warnings."""
    seen: list[pb.StatusResponse] = []
    for response in responses:
        seen.append(response)
        if sum(len(each.warnings) for each in seen) >= warnings:
            return seen
    raise AssertionError(seen)


def nothing_is_kept_of_an_internal_build(party: Party) -> None:
    with held(party.control, Internal=True) as build:
        build.warn("said")
        live = party.other.status(pb.StatusRequest(Ref=build.ref), timeout=PATIENCE)
        assert len(live_until(live, 1)) == 1
        assert listed(party.other, build.ref, active=True) == []

        build.end()
        build.call.result(timeout=PATIENCE)

        assert listed(party.other, build.ref) == []
        assert [*live] == []


def a_blob_that_is_not_there_is_not_found(party: Party) -> None:
    digest = "sha256:" + "1" * 64

    with pytest.raises(grpc.RpcError) as raised:
        read_blob(party.control.channel, digest, most=100, timeout=PATIENCE)

    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert f"{digest}: not found" in (raised.value.details() or "")


def a_session_that_is_not_there_fails_a_build(party: Party) -> None:
    request = pb.SolveRequest(Ref=uuid.uuid4().hex, Session="nobody's", Frontend="dockerfile.v0")
    error = failure(party.control.solve.future(request, timeout=PATIENCE))
    assert error[1].endswith("no active session for nobody's: context deadline exceeded")


CLAIMS: tuple[Claim, ...] = (
    a_ref_is_refused_while_its_build_is_there,
    a_ref_stays_taken_for_a_while_and_no_longer,
    a_build_of_an_empty_graph_ends_at_once,
    inputs_of_a_build_can_be_read_back,
    a_build_ends_as_its_client_says,
    an_error_that_is_returned_is_the_builds_own,
    a_result_that_the_build_does_not_have_is_refused,
    a_build_that_is_not_there_has_no_bridge,
    a_build_that_is_not_there_has_no_status,
    a_build_is_active_until_its_record_is_complete,
    no_filter_holds_back_what_is_active,
    completed_builds_are_found_by_name_or_pattern,
    builds_that_began_lately_are_found_with_their_claims_and_nothing_else,
    a_filter_that_cannot_be_read_is_an_error,
    a_record_that_is_not_there_cannot_be_changed,
    a_record_that_is_there_is_told_once_more,
    a_listener_hears_of_builds_that_come,
    a_caller_that_leaves_is_all_that_is_known_of_the_end,
    warnings_of_a_build_reach_all_readers_and_are_kept,
    nothing_is_kept_of_an_internal_build,
    a_blob_that_is_not_there_is_not_found,
    a_session_that_is_not_there_fails_a_build,
)
