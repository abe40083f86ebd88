"""Keeps what only the caller and one builder may know.

files    reads the payload secret, build secrets and keys
sealing  build secrets, for one builder's eyes
"""
