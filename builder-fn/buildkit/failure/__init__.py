"""A failed Solve as a sentence and a failed step.

build_failed    the error of a Solve, from the daemon's message and details
daemon          the daemon's own troubles, told from the caller's
registry        what a registry or the way to it answered, explained
step            why a step failed, where its output is known to mean something
status_details  details in a google.rpc.Status
"""
