# Sourced by up, down, test and bench. Gets as far as a Python that can run the stack package.
#
# Nothing is assumed but a Debian with apt, bash and coreutils, and root or sudo.

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

become_root() {
  if [ "$(id -u)" -eq 0 ]; then return; fi
  command -v sudo >/dev/null || fail "this needs root: run it as root, or install sudo."
  # PATH is handed over by name because sudo replaces it; -H keeps root's files out of your home.
  exec sudo -E -H env "PATH=$PATH" "$0" "$@"
}

# Always Debian's own Python, which the unprivileged account can run too: one under someone's home
# directory would be out of its reach.
ensure_python() {
  # Found, not imported: that would take a while.
  if /usr/bin/python3 -S -c 'import sys; from importlib.util import find_spec as has
sys.exit(sys.version_info < (3, 11) or not has("venv") or not has("ensurepip"))' 2>/dev/null; then
    return
  fi
  command -v apt-get >/dev/null || fail "this needs Debian 12 or 13, or another system with apt."
  keep_trusted_authorities
  echo "  packages     installing python3 and python3-venv" >&2
  export DEBIAN_FRONTEND=noninteractive
  local output
  output=$( (apt-get -qq update && apt-get -qq -y install --no-install-recommends \
    python3 python3-venv ca-certificates) 2>&1) || {
    printf '%s\n' "$output" >&2
    fail "apt-get could not install python3: check this machine's apt sources and network, then try again."
  }
}

# Installing ca-certificates (python3-venv needs it) writes the bundle again. Authorities that this machine
# trusts already, an own proxy's perhaps, go where update-ca-certificates(8) takes it from.
keep_trusted_authorities() {
  local bundle=/etc/ssl/certs/ca-certificates.crt
  if [ -e "$bundle" ] && ! command -v update-ca-certificates >/dev/null; then
    install -D -m 644 "$bundle" /usr/local/share/ca-certificates/this-machine.crt
  fi
}

# The user's own Python, which may have what the tests need.
fast_python() {
  local python
  python=$(command -v python3) || fail "this needs Python 3.11 or newer."
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is older than Python 3.11: put a newer one first in PATH."
  printf '%s' "$python"
}

# run_stack MODULE ARGUMENT...: a package of scripts/ or of the clone, with root's rights. The caller has asked
# become_root, which starts the whole script again.
run_stack() {
  export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
  ensure_python
  run_module /usr/bin/python3 "$@"
}

# run_module PYTHON MODULE ARGUMENT...
run_module() {
  cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
  export PYTHONPATH="$PWD/scripts"
  exec "$1" -B -m "${@:2}"
}
