"""One build on the daemon.

solve          a build from its Session to the end of its Status
request        the SolveRequest
source_policy  rules for what a build may read
gateway        a build with secrets: we are its frontend, and give secrets their ids
llb            the ids of secrets in a graph, replaced
secret_ids     ids that change with their values
"""
