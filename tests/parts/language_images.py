"""Disk and network I/O. Images with the tools of other languages, which only the tests build on.

Made like the base images, on top of them and under the public names of each language's own image.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stack.images import kept_layers, oci, rootfs
from stack.images.base_images import SEARCH_PATH, BaseImage
from stack.install import fingerprint
from stack.paths import Paths

# Bumped when what this module makes changes.
RECIPE = "1"

PACKAGES = ("composer", "golang-go", "nodejs", "npm", "php-cli", "ruby", "ruby-bundler")
# As Debian trixie has them; the tags are public ones, for machines that reach those.
TAGS: Mapping[str, Sequence[str]] = {
    "composer": ("2",),
    "golang": ("1.24-trixie",),
    "node": ("20-trixie-slim",),
    "php": ("8.4-cli-trixie",),
    "ruby": ("3.3-slim-trixie",),
}

# A third of these packages' bytes, and nothing that builds a function: dpkg(1), --path-exclude.
LEFT_OUT = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/include/*",
    "/usr/lib/*.a",
    "/usr/share/nodejs/corepack/*",
    "/usr/share/go-*/api/*",
    "/usr/share/go-*/src/*/testdata/*",
    "/usr/share/go-*/src/*_test.go",
    "/usr/share/go-*/src/*.syso",
    "/usr/share/go-*/src/cmd/*",
    "/usr/share/go-*/test/*",
    "/usr/lib/go-*/pkg/tool/*/addr2line",
    "/usr/lib/go-*/pkg/tool/*/di*",
    "/usr/lib/go-*/pkg/tool/*/doc",
    "/usr/lib/go-*/pkg/tool/*/fix",
    "/usr/lib/go-*/pkg/tool/*/nm",
    "/usr/lib/go-*/pkg/tool/*/objdump",
    "/usr/lib/go-*/pkg/tool/*/pprof",
    "/usr/lib/go-*/pkg/tool/*/trace",
)

_ENVIRONMENT: Mapping[str, Mapping[str, str]] = {
    "golang": {
        "PATH": f"/go/bin:{SEARCH_PATH['PATH']}",
        "GOPATH": "/go",
        "GOTOOLCHAIN": "local",
    },
}


def make(
    paths: Paths, below: Sequence[oci.Layer], log: Path, working: Callable[[str], None]
) -> list[BaseImage]:
    """Make one layer with every language's tools on top of the layers below, once, and keep it."""
    digests = [layer.digest for layer in below]
    recipe = fingerprint.of_text(RECIPE, *PACKAGES, *LEFT_OUT, *digests)
    folder = paths.images / f"languages-{recipe}"
    if not kept_layers.are_in(folder):
        working("making images of Go, Node, PHP and Ruby from Debian packages, about a minute")
        _make_layer(folder, below, log)
    layers = [*below, *kept_layers.load(folder)]
    return [
        BaseImage(
            repository=f"library/{language}",
            tags=tags,
            layers=layers,
            process=oci.Process(env={**SEARCH_PATH, **_ENVIRONMENT.get(language, {})}),
        )
        for language, tags in TAGS.items()
    ]


def _make_layer(folder: Path, below: Sequence[oci.Layer], log: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    root = folder / "root"
    root.mkdir(parents=True)
    try:
        with log.open("ab") as output:
            rootfs.unpack(below, root, output)
            marker = rootfs.change_marker(root)
            rootfs.install(root, PACKAGES, output, without=LEFT_OUT)
            layer = rootfs.layer(root, folder / "languages.tar.gz", newer_than=marker)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    kept_layers.save(folder, [layer])
