"""The Function Builder: a signed tar in, a pushed image out. README.md beside this file shows the house.

The layers, from the top down; imports point down only (tests/test_layers.py):

    handler                             the HTTP edge
    builds                              builds from the line to their end, here or in another replica
    callbacks                           results delivered to the address that a request named
    answers                             one document when all is over, or a stream while it goes on
    daemons                             the daemons, and which of them builds what
    tenants                             who asks, and what of the builder is theirs
    secret_files                        what OpenFaaS mounts
    history, build_secrets, telemetry   all replicas' builds; a request's secrets; log lines and metrics
    request, context                    what a request asks for, judged; what the daemon keeps of it
    config, registry, redaction         settings; names and credentials of registries; secrets taken out
    daemon_errors, go_duration          the client's errors made ours; durations
    errors, quoting                     every way to end badly; a caller's words
    buildkit, fsutil, pb                the BuildKit client, which stands alone
"""
