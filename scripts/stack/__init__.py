"""The stack around the function: what scripts/up, scripts/down and scripts/test are made of.

From the commands down:

    __main__       the command line
    tests_run      scripts/check and pytest, with everything they need
    sample         the template's sample function, built through the function
    running        registry, buildkitd and function as a whole; record remembers them
    preparation    what a bare Debian lacks: packages, account, programs, images, venvs
    registry, buildkitd, function, container    one daemon each, also for tests to start their own
    daemon         launch, readiness, stop and kill; processes and ports read /proc

Tests start daemons of their own like this:

    machine = machine.prepared()
    with registry.start(machine) as own, buildkitd.start(machine, mirror=own.address) as daemon: ...
"""
