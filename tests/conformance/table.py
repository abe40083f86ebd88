"""Pure. The conformance table: what each client must show, which of it held, and its place in the README."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BEGIN = "<!-- conformance: written by ./scripts/test tests/conformance --write-table -->"
END = "<!-- /conformance -->"


class Case(StrEnum):
    SUCCESS = "success"
    FAILED_BUILD = "failed build"
    WRONG_KEY = "wrong key"
    WRONG_PASSWORD = "wrong registry password"


class Address(StrEnum):
    FUNCTION = "function"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One call of one client.

    A case's text is what the client's user sees, word for word but for `{image}`: the tests look
    for it in what the client printed, and the table shows it.
    """

    client: str
    call: str
    success: str
    failed_build: str = ""
    wrong_key: str = ""
    wrong_password: str = ""
    addresses: tuple[Address, ...] = tuple(Address)

    @property
    def shows(self) -> Mapping[Case, str]:
        texts = {
            Case.SUCCESS: self.success,
            Case.FAILED_BUILD: self.failed_build,
            Case.WRONG_KEY: self.wrong_key,
            Case.WRONG_PASSWORD: self.wrong_password,
        }
        return {case: text for case, text in texts.items() if text}


@dataclass(frozen=True, slots=True)
class Trial:
    """One case of a row at one address: one run of a test."""

    row: Row
    case: Case
    address: Address

    @property
    def shows(self) -> str:
        return self.row.shows[self.case]


@dataclass(slots=True)
class Table:
    """Every trial in the order of the tests, and how it went."""

    _passed: dict[Trial, bool | None] = field(default_factory=dict)

    def declare(self, trial: Trial) -> None:
        self._passed[trial] = None

    def record(self, trial: Trial, *, passed: bool) -> None:
        self._passed[trial] = passed

    def proven(self) -> str:
        """Return the table to write. Raises ValueError that names the calls that were not wholly run."""
        not_run = (trial.row for trial, passed in self._passed.items() if passed is None)
        calls = "".join(f"\n  {row.client}: {row.call}" for row in dict.fromkeys(not_run))
        if calls:
            raise ValueError(f"the table is not written, since these calls were not run:{calls}")
        return self.markdown()

    def markdown(self) -> str:
        """Return a table to compare with the README: what was not run stands as it was declared."""
        lines = [_line("client", "call", "address", *Case), "|---" * (3 + len(Case)) + "|"]
        for row in dict.fromkeys(trial.row for trial in self._passed):
            cells = [self._cell(row, case) for case in Case]
            lines.append(_line(row.client, _code(row.call), ", ".join(row.addresses), *cells))
        return "\n".join(lines)

    def _cell(self, row: Row, case: Case) -> str:
        text = row.shows.get(case)
        if text is None:
            return ""
        trials = (Trial(row, case, address) for address in row.addresses)
        failed = any(self._passed[trial] is False for trial in trials)
        return f"{'✗' if failed else '✓'} {_code(text)}"


def read(readme: str) -> str:
    """Read the table that stands in the README."""
    _, _, rest = readme.partition(BEGIN)
    table, _, _ = rest.partition(END)
    return table.strip()


def write(readme: str, table: str) -> str:
    """Return the README with this table in place of its own. Raises ValueError if it has no place for one."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the README has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _code(text: str) -> str:
    """Return code spans, one a line; inside a table's cell a bar is escaped (GitHub's markdown)."""
    return "<br>".join(map(_code_span, text.replace("|", r"\|").splitlines()))


def _code_span(line: str) -> str:
    return f"`` {line} ``" if "`" in line else f"`{line}`"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
