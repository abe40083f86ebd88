"""Reads folders. A build context as faas-cli shrink-wraps it: a template, the handler laid over it.

The rules are those of CreateBuildContext and copy.go in go-sdk v0.3.0, which faas-cli 0.18 runs.
The handler's files go to the template's `handler_folder`, "function" unless template.yml says
otherwise; its top-level `build` and `template` stay out; symlinks are followed; `.dockerignore`
travels along for the builder to apply. The language "dockerfile" has no template: the handler is
the context.

Unlike faas-cli nothing is copied: a context says which file provides which path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NO_TEMPLATE = "dockerfile"
_KEPT_OUT = frozenset({"build", "template"})
_HANDLER_FOLDER = re.compile(
    r"""^handler_folder:[ \t]*(?:"([^"]*)"|'([^']*)'|([^#\s][^#]*?))[ \t]*(?:#.*)?$""", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Context:
    """*sources* maps each path of the context, "/"-separated, to the file or folder behind it."""

    sources: Mapping[str, Path]
    notices: tuple[str, ...] = ()

    def text_of(self, path: str) -> str:
        """The lines of *path* for quoting; empty if the context has no such file."""
        source = self.sources.get(path)
        if source is None or not source.is_file():
            return ""
        return source.read_text(encoding="utf-8", errors="replace")

    def largest(self) -> str:
        """The path of the largest file; empty if there is none."""
        files = {path: file for path, file in self.sources.items() if file.is_file()}
        return max(files, key=lambda path: files[path].stat().st_size, default="")


def overlay(template: Path | None, handler: Path) -> Context:
    """*template* is None for the language "dockerfile"."""
    sources: dict[str, Path] = {}
    if template is not None:
        sources.update(_walk(template))
    folder = handler_folder(template) if template is not None else PurePosixPath()
    for parent in reversed([folder, *folder.parents]):
        if parent.parts:
            _lay(sources, parent.as_posix(), handler)
    left_out = []
    for path, source in _walk(handler):
        first = path.partition("/")[0]
        if first in _KEPT_OUT:
            left_out.append(first)
        else:
            _lay(sources, (folder / path).as_posix(), source)
    return Context(
        sources,
        tuple(f"{handler / name} is left out, as faas-cli does." for name in sorted(set(left_out))),
    )


def folder_as_context(root: Path) -> Context:
    return Context(dict(_walk(root)))


def find_template(language: str, folder: Path | None) -> Path | None:
    """The template's own folder: *folder* if given, else ./template/LANGUAGE."""
    if language == NO_TEMPLATE:
        return None
    template = folder if folder is not None else Path("template") / language
    if not template.is_dir():
        raise UsageError(
            f"There is no template in {template}:"
            f" fetch it with `faas-cli template store pull {language}`,"
            " or name its folder with --template."
        )
    return template


def handler_folder(template: Path) -> PurePosixPath:
    """Where the handler's files go, by the one key of template.yml that concerns a context."""
    try:
        declared = _HANDLER_FOLDER.search((template / "template.yml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{template} is no template: it has no template.yml.") from None
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{template / 'template.yml'} cannot be read: {_reason(exc)}.") from exc
    value = next(filter(None, declared.groups()), "") if declared else ""
    folder = PurePosixPath(value.strip() or "function")
    if ".." in folder.parts or folder.is_absolute():
        raise UsageError(
            f'handler_folder in {template / "template.yml"} leaves the context: "{folder}".'
        )
    return folder


def _lay(sources: dict[str, Path], path: str, source: Path) -> None:
    below = sources.get(path)
    if below is not None and below.is_dir() != source.is_dir():
        raise UsageError(
            f"{source} cannot be laid over the template's {path}:"
            " one is a folder, the other a file."
        )
    sources[path] = source


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder.")
    yield from _descend(root, "", (root.resolve(),))


def _descend(folder: Path, prefix: str, above: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    for source in _children(folder):
        path = prefix + source.name
        if source.is_dir():
            real = source.resolve()
            if real in above:
                raise UsageError(f"{source} is a link back to a folder that holds it: remove it.")
            yield path, source
            yield from _descend(source, f"{path}/", (*above, real))
        elif source.is_file():
            yield path, source
        elif source.is_symlink():
            raise UsageError(f"{source} is a link to nothing: remove it or make its target.")
        else:
            raise UsageError(
                f"{source} is neither a file nor a folder: move it out of the handler."
            )


def _children(folder: Path) -> list[Path]:
    try:
        children = sorted(folder.iterdir())
    except OSError as exc:
        raise UsageError(f"{folder} cannot be read: {_reason(exc)}.") from exc
    for child in children:
        try:
            child.name.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"A name in {folder} is not UTF-8: {child.name!a}; rename it."
            ) from None
    return children


def _reason(exc: Exception) -> str:
    return exc.strerror.lower() if isinstance(exc, OSError) and exc.strerror else str(exc)
