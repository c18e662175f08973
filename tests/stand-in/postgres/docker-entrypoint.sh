#!/bin/sh
# The part of the official image's entry point that the project relies on: the first start makes
# the cluster, user and database from POSTGRES_*, and runs /docker-entrypoint-initdb.d on a server
# that has the container's settings but listens on its socket only.
set -eu

if [ "${1#-}" != "$1" ]; then
  set -- postgres "$@"
fi
if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /var/run/postgresql
  chown postgres: "$PGDATA" /var/run/postgresql
  chmod 700 "$PGDATA"
  exec gosu postgres "$0" "$@"
fi
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  user=${POSTGRES_USER:-postgres}
  database=${POSTGRES_DB:-$user}
  password=$(mktemp)
  printf '%s\n' "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD}" > "$password"
  initdb --username="$user" --pwfile="$password"
  rm "$password"
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
  settings=
  shift
  for word in "$@"; do
    settings="$settings '$(printf %s "$word" | sed "s/'/'\\\\''/g")'"
  done
  pg_ctl -o "$settings -c listen_addresses=''" -w start
  [ "$database" = postgres ] || createdb --username="$user" "$database"
  for script in /docker-entrypoint-initdb.d/*.sql; do
    [ ! -e "$script" ] || psql --username="$user" --dbname="$database" -v ON_ERROR_STOP=1 --file="$script"
  done
  pg_ctl -m fast -w stop
  set -- postgres "$@"
fi
exec "$@"
