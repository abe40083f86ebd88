"""Reads folders. A build context as faas-cli shrink-wraps it: a template, the handler laid over it.

The rules are those of CreateBuildContext and copy.go in go-sdk v0.3.0, which faas-cli 0.18 runs.
The handler's files go to the template's `handler_folder`, "function" unless template.yml says
otherwise; its top-level `build` and `template` stay out; links are followed. faas-cli's copy has the times
of the copying, so that make and cargo would take old outputs for new ones; here the files' own travel.

Without a template the folder is the context, whole, and its links are links, as for docker build.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from ..errors import UsageError
from ..text import shown
from .files import Context
from .ignore_file import IgnoreFile
from .walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NO_TEMPLATE: Final = "dockerfile"
_DOCKERFILE: Final = "Dockerfile"
_DOCKERIGNORE: Final = ".dockerignore"
# Where a context may say itself which its Dockerfile is (builder-fn, OPTIONS_FILES).
_OPTIONS_FILES: Final = ("builder-fn.json", "function/builder-fn.json")
_KEPT_OUT: Final = frozenset({"build", "template"})
_HANDLER_FOLDER = re.compile(
    r"""^handler_folder:[ \t]*(?:"([^"]*)"|'([^']*)'|([^#\s][^#]*?))[ \t]*(?:#.*)?$""", re.MULTILINE
)
_MOST_NOTICES: Final = 10  # lines; a context full of links would push all else off the screen


def overlay(template: Path | None, handler: Path, dockerfile: str = "") -> Context:
    """Lay *handler* over *template*, which is None for the language "dockerfile".

    *dockerfile* is the path in the context that was asked for, or empty. Raises UsageError.
    """
    if not handler.is_dir():
        what = "there is no such folder" if not handler.exists() else "it is a file"
        raise UsageError(f"{shown(handler)} is not a folder ({what}): name the one to build.")
    folder = PurePosixPath() if template is None else handler_folder(template)
    at = "" if not folder.parts else folder.as_posix()
    ignore = _ignore_file(_finder(template, handler, at), dockerfile)
    follows_links = template is not None
    notices: list[str] = []
    sources: dict[str, Path] = {}
    if template is not None:
        sources.update(Walk(root=template, ignore=ignore, follows_links=True, notices=notices))
        for parent in reversed(folder.parents):
            if parent.parts:
                _lay(sources, parent.as_posix(), sources.get(parent.as_posix(), handler))
        if at:
            _lay(sources, at, handler)
    walk = Walk(
        root=handler,
        ignore=ignore,
        follows_links=follows_links,
        at=at,
        keeps_out=_KEPT_OUT if template is not None else frozenset(),
        notices=notices,
    )
    for path, source in walk:
        _lay(sources, path, source)
    context = Context(
        root=handler if template is None else template,
        sources=sources,
        follows_links=follows_links,
        notices=_bounded(notices),
    )
    _require_dockerfile(context, dockerfile)
    return context


def find_template(language: str, folder: Path | None) -> Path | None:
    """Return the template's own folder: *folder* if given, else ./template/LANGUAGE. Raises UsageError."""
    if language == NO_TEMPLATE:
        return None
    template = folder if folder is not None else Path("template") / language
    if not template.is_dir():
        raise UsageError(
            f"There is no template in {shown(template)}:"
            f" fetch it with `faas-cli template store pull {language}`,"
            " or name its folder with --template."
        )
    return template


def handler_folder(template: Path) -> PurePosixPath:
    """Return where the handler's files go, by the one key of template.yml that concerns a context."""
    file = template / "template.yml"
    try:
        declared = _HANDLER_FOLDER.search(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{shown(template)} is no template: it has no template.yml.") from None
    except OSError as exc:
        raise UsageError(f"{shown(file)} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise UsageError(f"{shown(file)} cannot be read: it is not UTF-8.") from exc
    value = next(filter(None, declared.groups()), "") if declared else ""
    folder = PurePosixPath(value.strip() or "function")
    if ".." in folder.parts or folder.is_absolute():
        raise UsageError(f'handler_folder in {shown(file)} leaves the context: "{folder}".')
    return folder


def _finder(template: Path | None, handler: Path, at: str) -> Callable[[str], bytes | None]:
    """Make a reader of the file that a path of the context will have; None if that is no file."""

    def read(path: str) -> bytes | None:
        inside = f"{path}/".startswith(f"{at}/") if at else True
        candidates = [handler / path[len(at) :].lstrip("/")] if inside else []
        candidates += [] if template is None else [template / path]
        for file in candidates:
            # Without a template a link is a link: what it means is the builder's to say.
            if file.is_file() and (template is not None or not file.is_symlink()):
                try:
                    return file.read_bytes()
                except OSError:
                    return None
        return None

    return read


def _ignore_file(read: Callable[[str], bytes | None], dockerfile: str) -> IgnoreFile:
    """Find the ignore file that the builder will go by: the Dockerfile's own, or the context's."""
    names = [dockerfile] if dockerfile else _named_in_options(read)
    # BuildKit takes the default name in lower case, too.
    names = names or [_DOCKERFILE, _DOCKERFILE.lower()]
    own = [f"{name}{_DOCKERIGNORE}" for name in names]
    kept = frozenset((*names, *own, _DOCKERIGNORE, *_OPTIONS_FILES))
    text = read(own[0]) or read(_DOCKERIGNORE) or b""
    return IgnoreFile.parse(text, kept)


def _named_in_options(read: Callable[[str], bytes | None]) -> list[str]:
    """Return the Dockerfiles that the options files name; the builder says what is wrong with those."""
    named = []
    for file in reversed(_OPTIONS_FILES):  # the later one wins
        try:
            document: Mapping[str, object] = json.loads(read(file) or b"{}")
            name = document.get("dockerfile")
        except (ValueError, RecursionError, AttributeError):
            continue
        if isinstance(name, str) and name:
            named.append(str(PurePosixPath(name)))
    return named


def _require_dockerfile(context: Context, dockerfile: str) -> None:
    known = context.sources.keys()
    wanted = {dockerfile} if dockerfile else {_DOCKERFILE, _DOCKERFILE.lower()}
    if wanted & known or (not dockerfile and set(_OPTIONS_FILES) & known):
        return
    raise UsageError(
        f"There is no {dockerfile or _DOCKERFILE} in {shown(context.root)}: nothing to build."
    )


def _lay(sources: dict[str, Path], path: str, source: Path) -> None:
    below = sources.get(path)
    if below is not None and below.is_dir() != source.is_dir():
        raise UsageError(
            f"{shown(source)} cannot be laid over the template's {path}:"
            " one is a folder, the other a file."
        )
    sources[path] = source


def _bounded(notices: list[str]) -> tuple[str, ...]:
    if len(notices) <= _MOST_NOTICES:
        return tuple(notices)
    return (*notices[:_MOST_NOTICES], f"... and {len(notices) - _MOST_NOTICES} more of this kind.")
