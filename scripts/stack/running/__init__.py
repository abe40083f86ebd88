"""The stack as a whole.

whole              brings up registry, buildkitd and function, in the order in which they need each other
openfaas           the same for OpenFaaS in front of the function
upkeep             keeps what runs and was started from the same things; replaces the rest
recorded           what is up, and where, from the record alone
record             what is running, on disk, so that `down` stops exactly that
sample             the template's sample function, built through the function
payload_secret     what callers sign with
build_secrets_key  what build secrets are sealed for
"""
