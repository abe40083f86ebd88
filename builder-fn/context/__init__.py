"""The context that the daemon is offered of a build, and what it keeps of it between builds.

shared_key   the key under which it keeps files: never a stale one
ignore_file  .dockerignore offered with the Dockerfile, which saves a round trip
unfit        what the daemon asked for and could not be sent, as the cause of a failure
"""
