"""gRPC over HTTP/2 for a build's calls and what it asks first, in the thread that waits for them.

grpcio serves a channel with threads of its own, and each message of the daemon's wakes two or three of them,
one after the other. A build has three calls and some forty messages, of which few carry more than 200 bytes:
to wake threads was most of what it cost.

client       the protocol: calls, messages and flow control, without a socket
call         one call: what came, and what is to be sent
data_frames  DATA frames, joined and made
dialing      sockets, TLS and addresses
connection   one connection: its socket, and who reads it
connections  one daemon's connections, those in wait for a build too
channel      a connection for what is written for a gRPC channel
keeper       the thread that reads a connection while nobody waits for it
"""
