"""The Function Builder: a signed tar in, a pushed image out.

One request's path, and so the layers; imports point down only (tests/test_layers.py):

    handler                    HTTP edge: route, verify, answer; the only reader of `event`
    build, responses           one build from start to finish; its log and outcome as JSON or ndjson
    buildkit, admission, secret_files, registry_lookup, freshness, ignore_file
                               the daemon: channel, Solve, Status, and the Session it calls back on;
                               a place for the build; mounted secrets; a registry's credentials when
                               asked for; never a stale context; .dockerignore without a round trip
    fsutil                     DiffCopy: which entries of the context to send, and how
    bundle                     what a request asks for: its config and its context
    options, sealed_secrets, credential_helper
                               the options of a build, one field each; its secrets, opened; Docker's
                               programs for credentials, run
    archive, compression, reference, registry_auth, signature
                               one format each, judged
    config, plain_yaml         settings; YAML of plain values
    go_duration, quoting, tree, wire, pb
                               values and generated messages
    errors                     every way to end badly
    outcome                    what a build comes to

The signature is checked over the exact bytes before anything parses them. The archive is indexed in
memory; file contents stay views into the body until they are sent. A build opens a Session that exposes
exactly this context and these credentials, starts Solve, follows Status, and ends in one `finally`.
"""
