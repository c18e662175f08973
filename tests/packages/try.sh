#!/bin/sh
# try.sh MAJOR FOLDER: in an empty Debian, as root: installs both packages as a user does, tries
# them, and takes them away again. The first command that fails ends it.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

major=$1 folder=$2
fail() { echo "not as it should be: $*" >&2; exit 1; }

apt-get update
apt-get install --yes --no-install-recommends \
  "$folder/postgresql-${major}-pgevents"_*.deb "$folder"/pgevents_*.deb

echo '--- the unit'
# (Manual pages are not installed here, see below.)
systemd-analyze verify --man=no pgevents.service
# 0 is closed, 10 is open; in tenths.
systemd-analyze security --offline=true --threshold=15 --no-pager pgevents.service | tail -1
getent passwd pgevents
# A small Debian leaves manual pages out when it installs: look into the package.
dpkg-deb --contents "$folder"/pgevents_*.deb > /tmp/contents
grep --quiet 'man1/pgevents-producer\.1\.gz$' /tmp/contents || fail 'no manual page'
bash -n /usr/share/bash-completion/completions/pgevents
[ ! -e /etc/systemd/system/multi-user.target.wants/pgevents.service ] || fail 'enabled before it has settings'

echo '--- the plugin'
cat >> "/etc/postgresql/$major/main/postgresql.conf" <<SETTINGS
wal_level = logical
SETTINGS
postgres=/usr/lib/postgresql/$major/bin/postgres
if "$postgres" --describe-config | grep '^output_plugin_libraries' > /dev/null; then
  echo "output_plugin_libraries = 'pgoutput, test_decoding, pgevents'" >> "/etc/postgresql/$major/main/postgresql.conf"
fi
pg_ctlcluster "$major" main start
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
sql() { as_postgres psql --no-psqlrc --tuples-only --no-align --set=ON_ERROR_STOP=1 --command="$1"; }
sql "create role pgevents login replication password 'secret'"
sql 'create table users (id int primary key, full_name text)'
sql "select pg_create_logical_replication_slot('pgevents', 'pgevents')"
sql "insert into users values (1, 'Mikael Åkerfeldt')"
event='{"table_name":"public.users","old":{},"new":{"id":1,"full_name":"Mikael Åkerfeldt"},"id":1,"diff":{"id":1,"full_name":"Mikael Åkerfeldt"},"action":"I"}'
peeked=$(sql "select data from pg_logical_slot_peek_changes('pgevents', null, null, 'format', 'json')")
[ "$peeked" = "$event" ] || fail "psql: $peeked"

echo '--- the relay, as the account of its unit'
set -a
. /etc/pgevents/producer.env
PGPASSWORD=secret PGEVENTS_STATE_FILE=/var/lib/pgevents/position
set +a
install --directory --owner=pgevents --group=pgevents /var/lib/pgevents
setpriv --reuid=pgevents --regid=pgevents --clear-groups pgevents producer --sink stdout > /tmp/printed &
relay=$!
tenths=0
until [ -s /tmp/printed ]; do
  tenths=$((tenths + 1))
  [ "$tenths" -lt 600 ] || fail 'no event within a minute'
  sleep 0.1
done
kill "$relay"
wait "$relay" || fail "the relay ended with $? after SIGTERM"
printed=$(cat /tmp/printed)
[ "$printed" = "$event" ] || fail "relay: $printed"

echo '--- away again'
pg_ctlcluster "$major" main stop
apt-get purge --yes pgevents "postgresql-$major-pgevents"
for place in /usr/bin/pgevents /etc/pgevents /var/lib/pgevents /usr/lib/systemd/system/pgevents.service \
  /lib/systemd/system/pgevents.service "/usr/lib/postgresql/$major/lib/pgevents.so"; do
  [ ! -e "$place" ] || fail "$place stays"
done
echo 'both packages work'
