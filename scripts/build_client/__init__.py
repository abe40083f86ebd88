"""The client behind scripts/build.py: a handler in, a built and pushed image out.

Needs Python 3.11 and nothing else, so that it runs wherever a caller does; PyNaCl to seal secrets.

    cli                         arguments, exit codes, the order of things
    conversation                the call in a thread, so that the terminal stays alive meanwhile
    terminal, summary           what a person sees: live view or plain lines, and how it ended
    transport, refusal          HTTP: one signed POST, retries before the answer, lines after; a GET
    context, faas_cli, payload  template and handler overlaid, by us or by faas-cli; the signed tar
    sealing                     build secrets, for one builder's eyes
    progress, answer            log lines to steps, JSON to a result
    text, errors                values
"""
