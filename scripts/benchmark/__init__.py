"""The benchmark: the function against buildctl and against a builder made the usual way.

From the command down:

    __main__       the command line: which scenarios, how many rounds, table and JSON
    parts          registry, buildkitd, function and rival, started or taken from the environment
    timing         the scenarios that compare seconds: warm-up, rounds, turns
    footprint      the scenarios about the function's process: memory, time to readiness
    contenders     one build each: a request over HTTP, or the whole buildctl process
    services       a server's process from its launch to its first answer; its memory in /proc
    state          a tmpfs for all that is kept on the way, where there is memory for it
    usage          CPU time and page faults of a process
    folder         a context on the disk, for buildctl
    scenarios, contexts, requests, build_log, figures, report
                   pure: what is measured, what is built, what came out of it
"""
