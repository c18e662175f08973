#!/bin/sh
# The part of the official image's entry point that the project relies on: the broker runs as its
# own user, whoever made the volume.
set -eu

if [ "$1" = rabbitmq-server ] && [ "$(id -u)" = 0 ]; then
  chown -R rabbitmq: /var/lib/rabbitmq
  exec gosu rabbitmq "$@"
fi
exec "$@"
