"""The daemons that build, and which of them has a build, or gets it.

pool             the daemons that there are, and the choice among them
platforms        the daemons that build a platform
rendezvous       the order in which an image's builds prefer them
addresses        their names, resolved
daemon           one of them
finding          the one that has a build, by the build's id
process_sandbox  whether steps of builds are kept apart on one
step_limits      whether steps are kept within limits there
step_probe       a step that looks, for both
"""
