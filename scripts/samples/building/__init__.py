"""Modules for functions that build and deploy other functions; the standard library is enough.

request    the tar that builder-fn is sent
signature  the sender's proof
gateway    calls through OpenFaaS
template   a link to the template of the functions that are built

Each of the functions has a link to this folder, which faas-cli and scripts/build.py follow.
"""
