"""Pure. The Debian packages of what only tests run: the clients of tests/conformance, and a Prometheus."""

from collections.abc import Mapping

# By what must be on PATH, or by a path if it is no program.
PROGRAMS: Mapping[str, str] = {
    "promtool": "prometheus",
    "php": "php-cli",
    "/usr/share/php/GuzzleHttp/autoload.php": "php-guzzlehttp-guzzle",
}
