from __future__ import annotations

import pytest

from function import buildkit
from function.buildkit import FailedStep, Misconfigured, SolveFailed, Trouble
from function.daemon_errors import translated, translation
from function.errors import BuilderError, BuildFailed, DaemonUnavailable, NotReady


def test_a_failed_solve_is_the_callers_with_the_step_that_failed() -> None:
    step = FailedStep(name="RUN false", line=3)

    error = translation(SolveFailed("RUN false failed", step))

    assert isinstance(error, BuildFailed)
    assert (str(error), error.failed_step) == ("RUN false failed", step)


@pytest.mark.parametrize("trouble", Trouble)
def test_a_daemon_that_is_away_is_a_503_whatever_its_trouble(trouble: Trouble) -> None:
    error = translation(buildkit.DaemonUnavailable("Away.", trouble))

    assert isinstance(error, DaemonUnavailable)
    assert error.status == 503


@pytest.mark.parametrize(
    ("trouble", "setting"),
    [
        (Trouble.TLS, "buildkit_tls_ca"),
        (Trouble.NO_ADDRESS, "buildkit_url"),
        (Trouble.NO_CONNECTION, "buildkit_url"),
    ],
)
def test_the_sentence_names_the_setting_to_check(trouble: Trouble, setting: str) -> None:
    assert setting in str(translation(buildkit.DaemonUnavailable("Away.", trouble)))


@pytest.mark.parametrize("address", ["", "http://a"])
def test_a_wrong_address_names_its_setting(address: str) -> None:
    error = translation(Misconfigured("…", address=address))

    assert isinstance(error, NotReady)
    assert str(error).endswith(f'not "{address}".')


def test_a_missing_certificate_is_named() -> None:
    assert str(translation(Misconfigured("…", path="/ca.pem"))).startswith("/ca.pem cannot be read")


def test_only_the_clients_errors_are_translated() -> None:
    with pytest.raises(ValueError, match="ours"), translated():
        raise ValueError("ours")
    with pytest.raises(BuilderError), translated():
        raise buildkit.BuildkitError("theirs")


def test_every_error_of_the_client_has_a_translation_of_its_own() -> None:
    # Of the last one the daemon hears, and nobody else: a lookup's failure is found again by its id.
    for kind in set(buildkit.BuildkitError.__subclasses__()) - {buildkit.CredentialsUnavailable}:
        assert type(translation(kind("…"))) is not BuilderError
