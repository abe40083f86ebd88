"""One daemon of the stack a file, and what they have in common.

registry      docker-registry, open or not, over plain HTTP or TLS
buildkitd     rootless buildkitd
function      the function, behind of-watchdog if this machine has one
daemon        launch, readiness, stop and kill
processes     a process's identity and family, from /proc
ports         which ports are free, and which process listens
certificates  a throw-away authority, with certificates for a daemon and its client
"""
