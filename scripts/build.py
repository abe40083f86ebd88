#!/usr/bin/env python3
"""Builds a function, or any context with a Dockerfile, by builder-fn: sends it signed, shows the build.

    scripts/build.py --image registry.example.com/hello:1 --handler ./hello --lang python3-http
    scripts/build.py -t registry.example.com/hello:1 ./context
    scripts/build.py status|logs|result|cancel|list    about builds that nobody waits for

Needs Python 3.11 and nothing else, but for PyNaCl where secrets are sealed. See build_client/ for how.
"""

import os
import sys

from build_client.cli import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
