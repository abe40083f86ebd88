"""The services that the daemon may call back, over the Session stream.

session        one Session stream: bytes to and fro
bytes_message  how that stream frames them
grpc_server    a gRPC server on that stream, with h2
services       the methods of one build's session
filesync       FileSync: the context
auth           Auth: credentials for registries
secrets        Secrets: values for steps
health         Health: that the session lives
"""
