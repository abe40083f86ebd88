"""The client behind scripts/build.py: a handler in, a built and pushed image out.

Needs Python 3.11 and nothing else, so that it runs wherever a caller does; PyNaCl to seal secrets.

    cli           the program, its exit codes
    command_line  the command lines
    building      one build, in the order of things; then it is watched, left or queued
    operations    what is asked about builds: status, logs, result, cancel, list
    following     the log of a build that goes on by itself, taken up where it breaks off
    watching      a call and its view, until the answer's end
    context       the caller's folders, and the tar made of them
    secrets       build secrets, for one builder's eyes; the caller's own
    protocol      HTTP: requests, connections, documents, refusals
    display       what a person sees: live view, plain lines, summaries
    answer        JSON to values
    text, errors  values
"""
