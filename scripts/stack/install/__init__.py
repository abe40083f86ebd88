"""Installs what a bare Debian lacks before the first daemon can start.

preparation  all of it, side by side, skipping what is done
debian       packages, and the mirror that they come from
account      the unprivileged account that runs every daemon
ownership    folders and files that root makes for the account
programs     buildkitd, buildctl and a watchdog, built with Go
golang       a Go toolchain that is new enough
venv         Python packages
fingerprint  what something was made from, to know when to remake it
logged       a command whose output goes to a log
completion   whether a folder was filled to its end
mount_root   makes a chroot's folder a real root
"""
