"""HTTP. Reads what something exposes for Prometheus, without one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from .caller import get

if TYPE_CHECKING:
    from collections.abc import Iterator


def total(url: str, name: str, **labels: str) -> float:
    """Sum all samples of that *name* at the address *url* that have these *labels*."""
    return sum(_values(url, name, labels))


def _values(url: str, name: str, labels: dict[str, str]) -> Iterator[float]:
    answer = get(url, urlsplit(url).path)
    assert answer.status == 200
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            if _stem(sample.name) == _stem(name) and labels.items() <= sample.labels.items():
                yield float(sample.value)


def _stem(name: str) -> str:
    # The parser ends the name of every counter so, as OpenFaaS' gateway does not.
    return name.removesuffix("_total")
