"""Control and LLBBridge: questions on a gRPC channel, and builds on connections of their own.

http2         what a build's own calls go through
channel       the channel: its address, limits and TLS
control       Control's methods
llb_bridge    LLBBridge's methods, for one build
grpc_status   status codes and details
liveness      whether a silent daemon is still there
silence       how long it has been silent, whoever asks
daemon_watch  how the daemon is, asked seldom
worker        what the daemon is
unavailable   why it cannot be spoken to, as a sentence
"""
