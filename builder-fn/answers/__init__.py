"""Answers to callers: one document when all is over, or a stream while the build goes on.

answer          an answer as a value: status, headers, and a body or chunks
build_answers   the answers about a build that is read of, wherever it runs
record_answers  the answers about builds as the history has them
documents       the JSON that answers consist of
streams         documents as lines of JSON, or as server-sent events
ongoing         the interface of a build that is read of
werkzeug_response
                an answer as Werkzeug's response: the only module here that knows Werkzeug
"""
