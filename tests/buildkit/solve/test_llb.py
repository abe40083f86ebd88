from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.solve.llb import MalformedDefinition, with_secret_ids
from function.pb import ops_pb2 as pb

# RUN --mount=type=secret,id=token --mount=type=secret,id=token,env=TOKEN …, as buildkitd v0.32.2 has it.
RUN = (
    b"\nI\nGsha256:af7e2f1eb0693e3ad99397b6bf17b7685cc0a1aba3231b91b3c55eb130112053"
    b"R\x0e\n\x05amd64\x12\x05linuxZ\x00"
    b"\x12\xdf\x01"
    b'\n\x93\x01\n\x07/bin/sh\n\x02-c\n<md5sum /run/secrets/token; echo "${#TOKEN}"; ls /run/secrets'
    b"\x12APATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\x1a\x01/X\x01"
    b"\x12\x03\x1a\x01/"
    b"\x120\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x12/run/secrets/token0\x01"
    b"\xaa\x01\x0c\n\x05token \x80\x02(\x01"
    b"*\x10\n\x05token\x12\x05TOKEN\x18\x01"
)
PLATFORM = b"R\x07\n\x05amd64"  # pb.Op's field 10, which ops.proto leaves out

NAMES = st.sampled_from(["a", "b", "a@1", ""])
IDS = {"a": "a@1", "a@1": "a@1@2"}


@dataclass(frozen=True)
class Step:
    inputs: frozenset[int]  # positions
    mounts: tuple[str, ...]  # the secrets' ids
    env: tuple[str, ...]
    number: int

    @property
    def note(self) -> bytes:
        return b"step %d" % self.number


@st.composite
def graphs(draw: st.DrawFn) -> list[Step]:
    steps: list[Step] = []
    for number in range(draw(st.integers(1, 8))):
        inputs = draw(st.frozensets(st.integers(0, number - 1))) if number else frozenset()
        ids = st.lists(NAMES, max_size=2).map(tuple)
        steps.append(Step(inputs, draw(ids), draw(ids), number))
    return steps


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def marshalled(steps: list[Step]) -> list[bytes]:
    ops: list[bytes] = []
    for step in steps:
        inputs = [pb.Input(digest=digest(ops[position])) for position in sorted(step.inputs)]
        mounts = [pb.Mount(secretOpt=pb.SecretOpt(ID=name)) for name in step.mounts]
        execution = pb.ExecOp(
            meta=step.note,
            mounts=[pb.Mount(dest="/", input=0), *mounts],
            secretenv=[pb.SecretEnv(ID=name) for name in step.env],
        )
        parts = pb.Op(inputs=inputs), pb.Op(exec=execution)
        ops.append(PLATFORM.join(part.SerializeToString() for part in parts))
    return ops


def definition(steps: list[Step], order: list[int] | None = None) -> bytes:
    ops = marshalled(steps)
    notes = {digest(data): step.note for data, step in zip(ops, steps, strict=True)}
    return pb.Definition(
        ops=[ops[position] for position in order or range(len(ops))],
        metadata=notes,
        Source=pb.Source(locations=notes),
    ).SerializeToString()


def renamed(steps: list[Step]) -> list[Step]:
    return [
        replace(
            step,
            mounts=tuple(IDS.get(name, name) for name in step.mounts),
            env=tuple(IDS.get(name, name) for name in step.env),
        )
        for step in steps
    ]


def parsed(data: bytes) -> pb.Definition:
    return pb.Definition.FromString(data)


@given(graphs())
def test_is_the_graph_of_the_same_steps_with_other_ids(steps: list[Step]) -> None:
    changed = with_secret_ids(definition(steps), IDS)

    assert parsed(changed) == parsed(definition(renamed(steps)))


@given(graphs(), st.data())
def test_ops_may_come_in_any_order(steps: list[Step], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(steps))))

    changed = with_secret_ids(definition(steps, order), IDS)

    assert parsed(changed) == parsed(definition(renamed(steps), order))


@given(graphs())
def test_only_what_uses_a_secret_or_follows_from_it_is_changed(steps: list[Step]) -> None:
    changed = parsed(with_secret_ids(definition(steps), IDS)).ops

    for before, after, step in zip(marshalled(steps), changed, steps, strict=True):
        uses = bool({*step.mounts, *step.env} & IDS.keys())
        follows = any(marshalled(steps)[each] != changed[each] for each in step.inputs)
        assert (before != after) == (uses or follows)


@given(graphs())
def test_a_graph_that_uses_no_secret_stays_the_same_object(steps: list[Step]) -> None:
    data = definition(steps)

    assert with_secret_ids(data, {"other": "other@1"}) is data


def test_an_op_of_the_daemons_comes_back_byte_for_byte() -> None:
    last = pb.Op(inputs=[pb.Input(digest=digest(RUN))]).SerializeToString()
    data = pb.Definition(ops=[RUN, last]).SerializeToString()

    changed = with_secret_ids(data, {"token": "token@1"})
    run = parsed(changed).ops[0]

    assert run.count(b"token@1") == 2
    assert list(parsed(with_secret_ids(changed, {"token@1": "token"})).ops) == [RUN, last]


def test_a_long_chain_of_steps_is_no_matter() -> None:
    chain = [Step(frozenset(), ("a",), (), 0)]
    chain += [Step(frozenset({number - 1}), (), (), number) for number in range(1, 3000)]

    order = list(reversed(range(3000)))
    changed = with_secret_ids(definition(chain, order), IDS)

    assert parsed(changed) == parsed(definition(renamed(chain), order))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff", id="no definition"),
        pytest.param(pb.Definition(ops=[b"\xff"]).SerializeToString(), id="no op"),
    ],
)
def test_what_cannot_be_read_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedDefinition):
        with_secret_ids(data, IDS)


@given(st.binary())
def test_no_bytes_are_more_than_malformed(data: bytes) -> None:
    for hostile in (data, pb.Definition(ops=[data]).SerializeToString()):
        with contextlib.suppress(MalformedDefinition):
            with_secret_ids(hostile, IDS)
