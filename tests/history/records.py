"""Records of one build, as the daemon's history has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from function.history.annotations import build_attrs, claim_attrs, verdict_attrs
from function.history.refs import Part, Ref
from function.pb import control_pb2 as pb

if TYPE_CHECKING:
    from function.errors import BuilderError

ID = "a1" * 16
REF = Ref(ID)
ANNOTATIONS = {"image": "registry.test/ä:1", "call-id": "c"}
TOKEN = "the claim's"
CANCELLED, UNKNOWN = 1, 2


def record(
    part: Part = Part.BUILD,
    *,
    ref: Ref = REF,
    attrs: dict[str, str] | None = None,
    created: int = 100,
    ended: bool = False,
    error: tuple[int, str] | None = None,
) -> pb.BuildHistoryRecord:
    made = pb.BuildHistoryRecord(
        Ref=ref.of(part),
        FrontendAttrs=build_attrs(ANNOTATIONS) if attrs is None else attrs,
        CreatedAt=Timestamp(seconds=created),
    )
    if ended or error:
        made.CompletedAt.CopyFrom(Timestamp(seconds=created + 10))
    if error:
        made.error.code, made.error.message = error
    return made


def verdict(error: BuilderError, *, token: str = TOKEN) -> pb.BuildHistoryRecord:
    attrs = verdict_attrs(ANNOTATIONS, error, token)
    return record(Part.VERDICT, attrs=attrs, ended=True)


CLAIMED = claim_attrs(ANNOTATIONS, TOKEN)
HELD = record(Part.CLAIM, attrs=CLAIMED)
RELEASED = record(Part.CLAIM, attrs=CLAIMED, ended=True)
DIED = record(Part.CLAIM, attrs=CLAIMED, error=(CANCELLED, "context canceled"))
CANCEL = record(Part.CANCEL, attrs={}, ended=True)
LEFT = (CANCELLED, "failed to push: context canceled")
