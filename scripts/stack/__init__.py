"""The stack around the function: what scripts/up, scripts/down and scripts/test are made of.

From the commands down:

    __main__       the command line
    tests_run      scripts/check and pytest, with everything they need
    sample         the template's sample function, built through the function
    running        registry, buildkitd, function and OpenFaaS as a whole; upkeep keeps what runs,
                   record remembers it
    preparation    what a bare Debian lacks: packages, account, programs, images, venvs
    openfaas       nats, provider, gateway and queue_worker for a test; own_network (a program in
                   scripts/openfaas) gives each gateway its fixed ports
    registry, buildkitd, function, container, nats, provider, gateway, queue_worker, prometheus
                   one daemon each, also for tests to start their own
    daemon         launch, readiness, stop and kill; processes and ports read /proc

Tests start daemons of their own like this:

    machine = machine.prepared()
    with registry.start(machine) as own, buildkitd.start(machine, mirror=own.address) as daemon: ...
"""
