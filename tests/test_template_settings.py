from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving.settings import ServerSettings, SettingsError

DEFAULTS = ServerSettings()
EVERY = "0.0.0.0"  # noqa: S104 - what is tested


def test_keeps_every_default_when_nothing_is_set() -> None:
    assert ServerSettings.from_env({}) == DEFAULTS


def test_takes_an_empty_value_for_not_set() -> None:
    assert ServerSettings.from_env({"threads": "", "shutdown_grace": " "}) == DEFAULTS


def test_reads_every_setting() -> None:
    settings = ServerSettings.from_env(
        {
            "host": "127.0.0.1",
            "port": "0",
            "threads": "8",
            "probe_threads": "2",
            "max_body_bytes": "1000",
            "body_budget": "2000",
            "body_wait": "3s",
            "max_request_header_size": "4000",
            "header_timeout": "4s",
            "min_body_rate": "0",
            "connection_limit": "50",
            "idle_timeout": "2m",
            "send_timeout": "30s",
            "shutdown_grace": "1m30s",
            "shutdown_delay": "500ms",
            "suppress_lock": "true",
        }
    )

    assert settings == ServerSettings(
        host="127.0.0.1",
        port=0,
        threads=8,
        probe_threads=2,
        max_body_bytes=1000,
        body_budget=2000,
        body_wait=3,
        max_request_header_size=4000,
        header_timeout=4,
        min_body_rate=0,
        connection_limit=50,
        idle_timeout=120,
        send_timeout=30,
        shutdown_grace=90,
        shutdown_delay=0.5,
        suppress_lock=True,
    )


@pytest.mark.parametrize(
    ("environ", "port"),
    [
        pytest.param({"port": "7000"}, 7000, id="port alone"),
        pytest.param(
            {"port": "8080", "upstream_url": "http://127.0.0.1:5001"},
            5001,
            id="under of-watchdog, whose own port is the other",
        ),
        pytest.param(
            {"upstream_url": "http://a:5001", "http_upstream_url": "http://a:5002"},
            5002,
            id="the name that of-watchdog prefers",
        ),
        pytest.param({"upstream_url": "http://a"}, 80, id="the port a URL without one means"),
    ],
)
def test_listens_where_it_is_looked_for(environ: dict[str, str], port: int) -> None:
    assert ServerSettings.from_env(environ).port == port


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        pytest.param({}, EVERY, id="alone"),
        pytest.param({"upstream_url": "http://127.0.0.1:5000"}, "127.0.0.1", id="of-watchdog"),
        pytest.param({"upstream_url": "http://localhost:5000"}, "127.0.0.1", id="by its name"),
        pytest.param({"http_upstream_url": "http://[::1]:5000"}, "::1", id="IPv6"),
        pytest.param({"upstream_url": "http://a:5000"}, EVERY, id="a watchdog elsewhere"),
        pytest.param({"upstream_url": "http://127.0.0.1:5000", "host": EVERY}, EVERY, id="told"),
    ],
)
def test_only_of_watchdog_reaches_the_server_behind_it(environ: dict[str, str], host: str) -> None:
    assert ServerSettings.from_env(environ).host == host


@pytest.mark.parametrize("value", ["false", "yes", "TRUE", "0"])
def test_takes_for_true_what_of_watchdog_does(value: str) -> None:
    assert not ServerSettings.from_env({"suppress_lock": value}).suppress_lock


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("25s", 25), ("25", 25), ("0", 0), ("1h2m3s", 3723), ("1.5s", 1.5), ("1m1ms", 60.001)],
)
def test_reads_durations_as_go_writes_them(duration: str, seconds: float) -> None:
    settings = ServerSettings.from_env({"shutdown_grace": duration})

    assert settings.shutdown_grace == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("threads", "many", 'threads must be a whole number, not "many".'),
        ("threads", "-1", 'threads must be a whole number, not "-1".'),
        ("threads", "٣", 'threads must be a whole number, not "٣".'),
        ("threads", "0", "threads must be at least 1."),
        ("max_body_bytes", "1GiB", 'max_body_bytes must be a whole number, not "1GiB".'),
        ("port", "65536", "port must be a TCP port, at most 65535, not 65536."),
        ("shutdown_grace", "soon", 'shutdown_grace must be a duration such as "25s"'),
        ("shutdown_grace", "-5s", 'shutdown_grace must be a duration such as "25s"'),
        ("upstream_url", "127.0.0.1:5000", "upstream_url must be a URL such as"),
        ("upstream_url", "http://a:99999", "upstream_url must be a URL such as"),
        ("upstream_url", "http://[", "upstream_url must be a URL such as"),
    ],
)
def test_names_the_setting_that_makes_no_sense(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as raised:
        ServerSettings.from_env({name: value})

    assert sentence in str(raised.value)


@given(
    name=st.sampled_from(["port", "threads", "shutdown_grace", "upstream_url", "host"]),
    value=st.text(),
)
def test_accepts_or_refuses_any_text(name: str, value: str) -> None:
    try:
        settings = ServerSettings.from_env({name: value})
    except SettingsError:
        return
    assert 0 <= settings.port <= 65535
    assert settings.threads > 0
    assert settings.shutdown_grace >= 0
