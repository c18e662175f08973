#!/bin/sh
# Starts PostgreSQL as the official image does, with what logical decoding by pgevents needs.
# A setting in the container's own command (`postgres -c …`) comes later and wins.
set -eu

if [ "${1#-}" != "$1" ]; then
  set -- postgres "$@"
fi
if [ "$1" = postgres ]; then
  shift
  # Newer minor versions load no other output plugin than those in this list; older ones refuse to
  # start when they meet the name. The data folder may be older than the server: ask the server.
  # (`grep -q` would end early and could make postgres fail on the closed pipe.)
  if postgres --describe-config | grep '^output_plugin_libraries' >/dev/null; then
    set -- -c 'output_plugin_libraries=pgoutput, test_decoding, pgevents' "$@"
  fi
  set -- postgres -c wal_level=logical "$@"
fi
exec docker-entrypoint.sh "$@"
