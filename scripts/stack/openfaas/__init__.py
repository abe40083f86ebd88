"""OpenFaaS on one machine, the Community Edition.

openfaas         all of it, for a test
nats             the queue behind asynchronous invocations
provider         what knows where functions run (a program in scripts/openfaas)
provider_client  tells the provider what runs, and asks it what was deployed
gateway          the gateway, in a network of its own
queue_worker     makes the asynchronous calls
programs         builds them all
"""
