"""Speaks to a builder over HTTP.

transport     signed POSTs, tried again before the answer, documents after; a GET
conversation  the same in a thread, so that the terminal stays alive meanwhile
endpoint      connections, and why there is none
documents     what comes back on them
refusal       Pure. What a request turned down means to a person
public_key    the key that build secrets are sealed for
question      Pure. What is asked about builds, as a request
build_id      Pure. The id of a build that is queued
gateway       Pure. OpenFaaS' addresses of a function and of its queue, and the queue's limit
signature     Pure. Signs what is sent, and checks what is answered
"""
