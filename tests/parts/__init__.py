"""Real parts that only tests run, and the command behind scripts/test.

__main__           the command line of scripts/test
suite              scripts/check and pytest, with everything they need
clients            Debian packages of the programs that call the function, and of Prometheus
container          an image that was built, run with rootless runc
kubernetes_tools   a cluster's own programs, and definitions of cert-manager
language_images    images with the tools of other languages, to build on
network_namespace  sockets in the network of another process
prometheus         Debian's Prometheus, which scrapes and judges
token_server       the tokens that a registry with `auth: token` asks for
"""
