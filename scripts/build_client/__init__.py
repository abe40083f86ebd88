"""The client behind scripts/build.py: a handler in, a built and pushed image out.

Needs Python 3.11 and nothing else, so that it runs wherever a caller does; PyNaCl to seal secrets.

    cli                         the program, its exit codes
    arguments                   the command lines
    building                    one build, in the order of things; then it is watched, left or queued
    operations                  what is asked about builds: status, logs, result, cancel, list
    following                   the log of a build that goes on by itself, taken up where it breaks off
    watching, conversation      a call in a thread, so that the terminal stays alive meanwhile
    terminal, summary           what a person sees: live view or plain lines, and how it ended
    transport, refusal          HTTP: signed POSTs, retries before the answer, documents after; a GET
    endpoint, documents         connections; what comes back on them
    question                    what is asked about a build, as a request
    gateway                     OpenFaaS' addresses of a function and its queue, and the queue's limit
    context, faas_cli, payload  template and handler overlaid, by us or by faas-cli; the tar
    sealing, secret_file        build secrets, for one builder's eyes; the caller's own
    progress, answer            log lines to steps, JSON to values
    signature, text, errors     values
"""
