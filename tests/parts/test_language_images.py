"""The images of languages, against what the tests' Dockerfiles build on."""

import re
from pathlib import Path

from stack.images import kept_layers, oci

from . import language_images

DOCKERFILES = Path(__file__).parents[1] / "live" / "language_templates"


def kept(folder: Path, name: str) -> oci.Layer:
    return oci.Layer(path=folder / name, digest=f"sha256:{name}", diff_id="sha256:d", size=1)


def test_every_language_that_a_dockerfile_names_is_made_here() -> None:
    made = {f"{name}:{tag}" for name, tags in language_images.TAGS.items() for tag in tags}
    text = "\n".join(path.read_text() for path in sorted(DOCKERFILES.glob("*/Dockerfile")))
    named = re.findall(r"^FROM (?:--\S+ )?(\w+:\S+)", text, re.MULTILINE)
    languages = {image for image in named if image.partition(":")[0] in language_images.TAGS}

    assert languages == made


def test_layers_are_kept_with_what_they_are(tmp_path: Path) -> None:
    layers = [kept(tmp_path, "one"), kept(tmp_path, "two")]

    assert not kept_layers.are_in(tmp_path)
    kept_layers.save(tmp_path, layers)

    assert kept_layers.are_in(tmp_path)
    assert kept_layers.load(tmp_path) == layers
