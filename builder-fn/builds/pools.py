"""I/O: keeps the pools of daemons: everybody's, which the settings name, and tenants' own.

A tenant's pool is made when somebody asks for it, with its own finder and placing, so that nothing of its
builds is looked for anywhere else. Tenants with the same addresses share one.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from ..daemons.finding import Finder
from ..daemons.pool import Daemons
from ..errors import NotReady, Unavailable
from .placing import Placing
from .tenant_limits.all_replicas import AllReplicas

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config import Settings
    from ..daemons.daemon import Daemon
    from ..history import EndedBuilds
    from ..history.viewer import Viewer
    from ..telemetry.metrics import Metrics
    from ..tenants import Askers, Principal, Tenant

_log = logging.getLogger("builder-fn")

# Made at one time. Each has a thread and, to each daemon, a connection; the one that was used longest ago
# goes when there are more, and is made again when it is asked for.
_MOST_POOLS = 64
# Others than a tenant's own are not asked for its builds: how long that takes would tell what goes on there.
_BEFORE = "One from before your builds had a buildkitd of their own is found by the operator of the builder."


@dataclass(frozen=True, slots=True)
class Pool:
    """Holds some daemons together with what finds a build there, places one, and counts tenants' builds."""

    daemons: Daemons
    finder: Finder
    placing: Placing
    all_replicas: AllReplicas

    @classmethod
    def at(
        cls,
        urls: tuple[str, ...],
        settings: Settings,
        metrics: Metrics,
        *,
        is_everybodys: bool = False,
        ended: EndedBuilds | None = None,
    ) -> Pool:
        """Open the pool at *urls*; everybody's has the settings' daemons that drain. Raises NotReady.

        What is heard of builds that ended is kept in *ended*, beside other pools'.
        """
        daemons = Daemons(
            urls,
            lookup_urls=settings.buildkit_lookup_url if is_everybodys else (),
            tls=settings.buildkit_tls,
            patience=settings.daemon_patience,
            builds=settings.daemon_builds,
            ended=ended,
        )
        finder = Finder(daemons, hint="" if is_everybodys else _BEFORE)
        placing = Placing(daemons, finder, metrics)
        return cls(daemons, finder, placing, AllReplicas(daemons))


class Pools:
    """Safe for use by many threads."""

    def __init__(
        self, everybodys: Pool, askers: Askers, settings: Settings, metrics: Metrics
    ) -> None:
        self.everybodys = everybodys
        self._askers = askers
        self._settings = settings
        self._metrics = metrics
        self._lock = threading.Lock()
        self._own: OrderedDict[tuple[str, ...], Pool] = OrderedDict()

    def of(self, principal: Principal) -> Pool:
        """Return the pool that builds of *principal* go to. Raises NotReady."""
        return self._of(principal.tenant)

    def seen_by(self, viewer: Viewer) -> tuple[Pool, ...]:
        """Return the pools that may have builds that *viewer* may see: one, or all. Raises NotReady."""
        tenants = self._tenants()
        if viewer.tenant:
            return (self._of(next((each for each in tenants if each.name == viewer.tenant), None)),)
        addresses = {each.buildkit_urls for each in tenants if each.buildkit_urls}
        self._leave_only(addresses)
        found = [self.everybodys]
        for urls in sorted(addresses):
            try:
                found.append(self._at(urls))
            except NotReady as exc:
                _log.error("a tenant's buildkitUrl leads nowhere: %s", exc)
        return tuple(found)

    def having(self, build_id: str, viewer: Viewer) -> Pool:
        """Return the pool that has the build; one of them if none has. Raises Unavailable."""
        pools = self.seen_by(viewer)
        if len(pools) == 1:
            return pools[0]
        unavailable: Unavailable | None = None
        for pool in pools:
            try:
                if pool.finder.look(build_id, viewer):
                    return pool
            except Unavailable as exc:
                unavailable = exc
        if unavailable:
            raise unavailable
        return self.everybodys

    def current(self) -> list[Daemon]:
        """Return the daemons that there are in all pools that are in use."""
        with self._lock:
            own = list(self._own.values())
        found = chain.from_iterable(pool.daemons.current() for pool in (self.everybodys, *own))
        by_address = {daemon.address: daemon for daemon in found}
        return list(by_address.values())

    def watched(self) -> dict[str, Daemon | None]:
        """Return the same by name, and None for each address that has never led to a daemon.

        Pods of several pools may have one name; they are told apart by that of their pool.
        """
        daemons = self.current()
        names = Counter(daemon.name for daemon in daemons)
        found: dict[str, Daemon | None] = {}
        for daemon in daemons:
            place = daemon.address.host or daemon.address.url
            name = daemon.name if names[daemon.name] == 1 else f"{daemon.name} ({place})"
            found[name] = daemon
        with self._lock:
            pools = (self.everybodys, *self._own.values())
        for pool in pools:
            found.update(dict.fromkeys(pool.daemons.unresolved()))
        return found

    def _of(self, tenant: Tenant | None) -> Pool:
        if tenant is None or not tenant.buildkit_urls:
            return self.everybodys
        self._leave_only({each.buildkit_urls for each in self._tenants()} | {tenant.buildkit_urls})
        return self._at(tenant.buildkit_urls)

    def _at(self, urls: tuple[str, ...]) -> Pool:
        if set(urls) == set(self._settings.buildkit_url):
            return self.everybodys
        with self._lock:
            if urls not in self._own:
                self._own[urls] = Pool.at(
                    urls, self._settings, self._metrics, ended=self.everybodys.daemons.ended
                )
            self._own.move_to_end(urls)
            while len(self._own) > _MOST_POOLS:
                self._own.popitem(last=False)[1].daemons.close()
            return self._own[urls]

    def _leave_only(self, addresses: Iterable[tuple[str, ...]]) -> None:
        """Close the pools that no tenant has any more; builds that run there keep theirs to their end."""
        with self._lock:
            for urls in self._own.keys() - set(addresses):
                self._own.pop(urls).daemons.close()

    def _tenants(self) -> tuple[Tenant, ...]:
        found = self._askers.tenants
        return tuple(found.tenants.values()) if found else ()
