"""Builds, from the line to their end, in this replica or another.

builder     the replica's one builder: takes builds in, finds others, asks the daemon
build       one build that runs here
followed    one that another request, or another replica, runs or ran
job         a build as it was asked for, and its id
placing     the daemon that a build gets, and one only
pools       everybody's daemons, and tenants' own
platform_builds  a build that several daemons do, each its own platforms
platform_words   what each of them says, named by its platform
offer       what a build's session offers the daemon
daemon_versions  what a version of buildkitd lacks
admission   the places for builds, and the line in front of them
fair_line   the order of that line
tenant_limits/  tenants held to their limits over all replicas, and room left to each
background  what no request waits for
replica     what all builds of a replica share
"""
