"""The Function Builder: a signed tar in, a pushed image out.

One request's path, and so the layers; imports point down only (tests/test_layers.py):

    handler                       HTTP edge: route, verify, answer; the only reader of `event`
    build, responses              one build from start to finish; events to JSON or ndjson
    buildkit                      the daemon: channel, Solve, Status, and the Session it calls back on
    fsutil                        DiffCopy: which entries of the context to send, and how
    bundle, archive, signature    the body judged: signed, a tar, a config, a context
    config, events, tree, errors  values

The signature is checked over the exact bytes before anything parses them. The archive is indexed in
memory; file contents stay views into the body until they are sent. A build opens a Session that exposes
exactly this context and these credentials, starts Solve, follows Status, and ends in one `finally`.
"""
