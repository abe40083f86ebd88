"""The client behind scripts/build.py: a folder in, a built and pushed image out.

Needs Python 3.11 and nothing else, so that it runs wherever a caller does; PyNaCl to seal secrets.

    cli           the program, its exit codes
    command_line  Pure. What is built, or asked about builds, with which key, and how it is shown
    building      one build, in the order of things; then it is watched, left or queued
    operations    what is asked about builds: status, logs, result, cancel, list
    following     the log of a build that goes on by itself, taken up where it breaks off
    watching      a call and its view, until the answer's end
    concluding    what is left behind at the end: a summary, files, an exit code
    context       the caller's folders, and the tar made of them
    secrets       build secrets sealed for one builder, and the caller's own
    protocol      HTTP: requests, connections, documents, refusals
    display       what a person sees: live view, plain lines, summaries
    answer        Pure. JSON to values
    text, errors  Pure. Text for terminals; everything that can go wrong
"""
