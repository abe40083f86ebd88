"""What index.py serves a handler with.

settings  Pure: the environment as numbers, with every default and its reason
app       the handler's contract as a WSGI application: Event, Context, kinds of answer
server    waitress, and what it lacks: an honest 413, a bound on unread answers, draining
shutdown  everything between SIGTERM and the exit
hooks     the optional callables of a handler module
"""
