"""The conformance table: what it is made of, and, last of the folder, that it is the README's."""

from __future__ import annotations

import pytest

from .conftest import README
from .table import BEGIN, END, Address, Case, Row, Table, Trial, read, write

ROW = Row(client="one", call="a|b", success="{image}", failed_build="two\n`lines")


def declared(*rows: Row) -> Table:
    made = Table()
    for row in rows:
        for case in row.shows:
            for address in row.addresses:
                made.declare(Trial(row, case, address))
    return made


def test_a_row_shows_what_its_client_prints() -> None:
    line = declared(ROW).markdown().splitlines()[-1]
    assert (
        line
        == r"| one | `a\|b` | function, gateway | ✓ `{image}` | ✓ `two`<br>`` `lines `` |  |  |"
    )


def test_a_case_that_failed_at_one_address_has_failed() -> None:
    table = declared(ROW)
    table.record(Trial(ROW, Case.SUCCESS, Address.GATEWAY), passed=False)
    table.record(Trial(ROW, Case.SUCCESS, Address.FUNCTION), passed=True)
    assert "| ✗ `{image}` | ✓" in table.markdown()


def test_a_table_is_not_written_of_calls_that_were_not_run() -> None:
    other = Row(client="other", call="c", success="s", addresses=(Address.FUNCTION,))
    table = declared(ROW, other)
    table.record(Trial(other, Case.SUCCESS, Address.FUNCTION), passed=True)
    with pytest.raises(ValueError, match=r"not run:\n  one: a\|b$"):
        table.proven()


def test_a_table_of_which_all_was_run_is_written_whether_it_held_or_not() -> None:
    row = Row(client="one", call="c", success="s")
    table = declared(row)
    table.record(Trial(row, Case.SUCCESS, Address.FUNCTION), passed=True)
    table.record(Trial(row, Case.SUCCESS, Address.GATEWAY), passed=False)
    assert "| ✗ `s` |" in table.proven()


def test_the_table_replaces_the_one_between_its_marks() -> None:
    readme = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    written = write(readme, "new")
    assert written == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert read(written) == "new"


def test_a_readme_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no lines"):
        write(f"{BEGIN} and no end", "new")


@pytest.mark.daemons
def test_the_readme_holds_the_table_of_this_run(table: Table, pytestconfig: pytest.Config) -> None:
    """Count a client that is not on this machine as its rows declare it."""
    if pytestconfig.getoption("--write-table"):
        README.write_text(write(README.read_text(), table.proven()))
    assert read(README.read_text()) == table.markdown(), (
        "run ./scripts/test tests/conformance --write-table"
    )
