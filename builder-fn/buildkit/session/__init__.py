"""The services that the daemon may call back, over the Session stream.

session      one Session stream: bytes to and fro
grpc_server  a gRPC server on that stream, with h2
data_frames  the DATA frames, which h2 is spared
services     the methods of one build's session
filesync     FileSync: the context
auth         Auth: credentials for registries
secrets      Secrets: values for steps
health       Health: that the session lives
"""
