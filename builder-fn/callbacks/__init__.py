"""Results delivered to the address that a request named.

target      the address, judged
detached    a detached build seen to its end
deliveries  the queue: what is still to be delivered, and when it is tried again
attempt     one POST
"""
