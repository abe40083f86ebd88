"""Pure. Names the frontend attributes in which our records say more than the daemon does.

The daemon keeps them with a build's record, and dockerfile.v0 ignores them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .outcome_json import error_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..errors import BuilderError
    from ..pb import control_pb2 as pb

# The annotation with the name of the tenant whose build it is; an operator's has none.
TENANT = "tenant"

_ANNOTATION = "com.openfaas.builder."
# The one attribute by which the daemon filters its history, as "repository" (moby/buildkit v0.32.2
# solver/llbsolver/history/filter.go, adaptHistoryRecord).
_REPOSITORY = "vcs:source"
# Ours beside the owner's.
ERROR = _ANNOTATION + "record.error"
JOURNAL = _ANNOTATION + "record.journal"
RESULT = _ANNOTATION + "record.result"
# The daemon's own.
PLATFORM = "platform"
_CLAIM = _ANNOTATION + "record.claim"
_OURS = _ANNOTATION + "record."


def build_attrs(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return the frontend attributes of a build that says *annotations* of itself."""
    attrs = {_ANNOTATION + name: value for name, value in annotations.items()}
    if tenant := annotations.get(TENANT):
        attrs[_REPOSITORY] = _repository(tenant)
    return attrs


def tenant_filter(tenant: str) -> str:
    """Return ListenBuildHistory's filter for the records of a tenant's builds."""
    return f"repository=={_repository(tenant)}"


def journal_attrs(annotations: Mapping[str, str]) -> dict[str, str]:
    return {**build_attrs(annotations), JOURNAL: "1"}


def journal_metadata(result_document: str) -> dict[str, bytes]:
    """Return the metadata that a journal returns for a build that succeeded."""
    return {RESULT: result_document.encode()}


def claim_attrs(annotations: Mapping[str, str], token: str) -> dict[str, str]:
    return {**build_attrs(annotations), _CLAIM: token}


def verdict_attrs(
    annotations: Mapping[str, str], error: BuilderError, token: str
) -> dict[str, str]:
    """Return the attributes of a verdict; *token* is that of the claim, if there is one."""
    return {**claim_attrs(annotations, token), ERROR: error_document(error)}


def annotations_of(record: pb.BuildHistoryRecord) -> dict[str, str]:
    return {
        name.removeprefix(_ANNOTATION): value
        for name, value in record.FrontendAttrs.items()
        if name.startswith(_ANNOTATION) and not name.startswith(_OURS)
    }


def kept_attrs(attrs: Mapping[str, str]) -> dict[str, str]:
    """Return those of a record's attributes, or of its metadata, that an attempt is read from."""
    return {
        name: value
        for name, value in attrs.items()
        if name.startswith(_ANNOTATION) or name == PLATFORM
    }


def claim_token(record: pb.BuildHistoryRecord) -> str:
    return record.FrontendAttrs.get(_CLAIM, "")


def _repository(tenant: str) -> str:
    return f"builder-fn-tenant-{tenant}"
