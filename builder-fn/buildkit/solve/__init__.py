"""One build on the daemon.

solve          a build from its Session to the end of its Status
request        the SolveRequest
source_policy  rules for what a build may read
conversation   a build of which we are the frontend
gateway        one with secrets, to which we give their ids
index          one that joins images of several platforms
llb            the ids of secrets in a graph, replaced
secret_ids     ids that change with their values
"""
