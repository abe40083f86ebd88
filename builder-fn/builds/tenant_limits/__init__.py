"""Holds tenants to their limits, over all replicas, and leaves each of them room.

    shared_room   room that no tenant can take from the others
    standing      which of a tenant's builds may run, by all replicas' records; one rule
    hour          a tenant's builds within the last hour
    all_replicas  both, as the daemons' histories show them
    refusals      in words
    place         one build's place: the replica's, and its tenant's

Replicas do not speak to one another, and there is no store but the daemons' history. A build of a tenant
with limits is claimed, as a detached one is, and so on record from before it waits until its end. A replica
puts the claim on record first and looks second. So of all builds that run, the one whose look came last saw
every other: no more than the limit ever run, however many replicas take builds at one time. The order of the
claims, which all replicas see the same, decides which one is the next.
"""
