"""The Function Builder: a signed tar in, a pushed image out.

One request's path, and so the layers; imports point down only (tests/test_layers.py):

    handler                    HTTP edge: route, verify; the only reader of `event`
    answers                    one document when a build is over, or a stream while it goes on
    build, streams             one build from start to finish; lines of JSON, or server-sent events
    background, deliveries, followed, order
                               what no request waits for; callbacks until they are taken; a build that
                               another runs; one as it was asked for
    responses                  a build's log and outcome as JSON
    buildkit, admission, secret_files, registry_lookup
                               the daemon: channel, Solve, Status, and the Session it calls back on;
                               a place for the build; mounted secrets; a registry's credentials when
                               asked for
    fair_line, freshness, ignore_file, log_lines, log_tail, metrics
                               who is next; never a stale context; .dockerignore without a round trip;
                               what is logged; the end of a build's log; what is counted
    fsutil                     DiffCopy: which entries of the context to send, and how
    bundle, build_secrets, callback, command
                               what a request asks for: its config, its context; what it sealed; whom
                               to tell of the result; what is asked about builds
    options, sealed_secrets, credential_helper, redaction
                               the options of a build, one field each; its secrets, opened; Docker's
                               programs for credentials, run; what no log may show, taken out
    archive, compression, reference, registry_auth, signature
                               one format each, judged
    config, plain_yaml, routes, secret_detection
                               settings; YAML of plain values; which operation is asked for; what
                               looks like a secret
    go_duration, quoting, tree, wire, pb
                               values and generated messages
    errors                     every way to end badly
    build_report, daemon_state, outcome, version
                               what the operator is told of a build, and of the daemon; what its caller
                               is told of a build; which builder this is

The signature is checked over the exact bytes before anything parses them. The archive is indexed in
memory; file contents stay views into the body until they are sent. A build opens a Session that exposes
exactly this context and these credentials, starts Solve, follows Status, and ends in one `finally`.
"""
