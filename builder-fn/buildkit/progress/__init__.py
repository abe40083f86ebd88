"""A build's Status responses, made into what people and callers read.

status_stream    Status, read in a thread
backlog          what that has read, within a bound
printer          log lines
build_log        a build's log with its steps, for one that is followed
steps            the Dockerfile's steps, how long each took, and which were cached
phases           where the time went
pushes           when the registry has the image
split_responses  a response in several messages, the ends of steps last
chronology       a long response in the order of time
times            the daemon's times as numbers
vertex_warning   warnings
redactor         the interface of what takes secrets out
redacted_status  a response without secrets
"""
