"""Modules by which index.py serves a handler.

settings    Pure: the environment as numbers, with every default and its reason
app         the handler's contract as a WSGI application: Event, Context, kinds of answer
hooks       what a handler module may have beside handle()
server      the HTTP server: connections, threads, which request to make room for
connection  one client's requests, from the first byte to the last
head        Pure: the head of a request, judged
chunked     Pure: a body in chunks, decoded
body        one request's body, in memory once
budget      Pure: how much of that there may be, for all requests together
arrival     a body handed to the handler while it arrives
wsgi        one request answered by the application, in HTTP/1.1's form
refusal     Pure: why a request does not get to handle()
hang_up     which clients have gone, and which only closed their side
threads     calls in a bounded number of threads
memory      how much memory there is, and the C library's way with it
lock_file   what of-watchdog takes for healthy
shutdown    everything between SIGTERM and the exit
"""
