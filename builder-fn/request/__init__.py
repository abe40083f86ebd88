"""A request's content, judged before anything is built.

routes       the operation that is asked for
signature    the HMAC over the exact body
unsigned     what stands outside of the signed body, and decides nothing
decompression  a compressed body, unpacked within bounds
memory       the memory that a request takes beside its body
bundle       a build request with all its parts
archive/     the tar
options/     the options of a build, one field each
question     a request about builds
age          what was signed too long ago
"""
