"""File I/O. Reads and writes the tenants file and what a tenant is given, for their owner alone."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class CannotStore(Exception):
    """Its message is a sentence for the person at the keyboard."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep others that change *path* with this program waiting."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as exc:
        raise CannotStore(f"{path.parent} cannot be opened: {exc.strerror}.") from exc
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def content(path: Path) -> bytes | None:
    """Return the content of the file; None if there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise CannotStore(f"{path} cannot be read: {exc.strerror}.") from exc


def exchange(path: Path, new: bytes) -> None:
    """Put *new* in the place of the file at one moment, whatever happens meanwhile."""
    target = path.resolve()  # a link stays one
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:  # mkstemp's is 0600
                file.write(new)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise CannotStore(f"{path} cannot be written: {exc.strerror}.") from exc


@contextmanager
def created(files: dict[Path, tuple[bytes, int]]) -> Iterator[None]:
    """Create *files*, by path their content and mode; take them away again if the block fails."""
    made: list[Path] = []
    try:
        for path, (new, mode) in files.items():
            _create(path, new, mode)
            made.append(path)
        yield
    except BaseException:
        for path in made:
            with suppress(OSError):
                path.unlink()
        raise


def _create(path: Path, new: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(new)
    except FileExistsError:
        raise CannotStore(
            f"{path} is there already and is kept: choose another name for the key with --key."
        ) from None
    except OSError as exc:
        raise CannotStore(f"{path} cannot be written: {exc.strerror}.") from exc
