"""The stack around the function: what scripts/up and scripts/down are made of.

    __main__          the command line
    commands          what up and down do
    running/          the stack as a whole: what `up` keeps running, and remembers
    daemons/          registry, buildkitd and function, one file each; launch, readiness, stop and kill
    openfaas/         nats, provider, gateway and queue-worker, one file each
    images/           base images, made from Debian packages where no public registry answers
    install/          what a bare Debian lacks: packages, account, programs, venvs
    machine           the prepared machine, which every daemon is started with
    paths             where everything is kept
    console, errors   what the person at the terminal reads
    bootstrap.sh      from a bare Debian to a Python that runs this package

Tests start daemons of their own like this:

    machine = machine.prepared()
    with registry.start(machine) as own, buildkitd.start(machine, mirror=own.address) as daemon: ...
"""
