"""Drills: what the function must stand, done to a real one, with the figures that came of it.

__main__  the command line: scripts/drill siege, scripts/drill tenants
siege     every attack without a key, one row of a table each
tenants   one tenant at twenty times its limits, beside another one
victim    a served function, alone or behind of-watchdog: its address, its memory, its CPU
attacks   what is sent to it, over real sockets on loopback
own_network  a network namespace, for of-watchdog's fixed port
prober    how long a probe waits meanwhile
"""
