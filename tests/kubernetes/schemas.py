"""Reads schemas. Whether a cluster would take a manifest, and every field of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema
import yaml
from kubernetes_validate import utils as kubernetes_validate  # type: ignore[import-untyped]
from packaging.version import Version
from stack.paths import Paths

from ..parts import kubernetes_tools

if TYPE_CHECKING:
    from .manifests import Manifest

# The first that knows appArmorProfile.
OLDEST = Version("1.30")

ValidationError = kubernetes_validate.ValidationError

VERSIONS = [each for each in kubernetes_validate.all_versions() if Version(each) >= OLDEST]


def check(manifest: Manifest, version: str) -> None:
    """Raise ValidationError, for a field that the version does not know, too."""
    kubernetes_validate.validate(manifest, version, strict=True)


def check_custom(manifest: Manifest) -> None:
    """Check likewise what cert-manager defines, by its CustomResourceDefinitions."""
    jsonschema.validate(manifest, _strict(_definition(manifest)))


def _definition(manifest: Manifest) -> dict[str, Any]:
    folder = kubernetes_tools.built(Paths()).definitions
    group, _, version = manifest["apiVersion"].partition("/")
    for file in folder.glob("*.yaml"):
        definition = yaml.safe_load(file.read_text())["spec"]
        if (definition["group"], definition["names"]["kind"]) == (group, manifest["kind"]):
            [schema] = [
                each["schema"]["openAPIV3Schema"]
                for each in definition["versions"]
                if each["name"] == version
            ]
            return dict(schema)
    raise AssertionError(f"cert-manager defines no {manifest['kind']}")


def _strict(schema: Any) -> Any:
    """Return the schema without fields that are not listed, which a server would drop with a warning."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(each) for name, each in schema.items()}
    if "properties" in strict:
        strict.setdefault("additionalProperties", False)
    return strict
