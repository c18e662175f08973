#!/bin/sh
# debian.sh SUITE FILE: writes the root file system of a small Debian as a tar file.
#
# It is what this machine's package archive gives in place of the official image `debian:SUITE-slim`,
# with the machine's own certificate authorities, so that builds reach the same registries.
# Needs root and debootstrap.
set -eu

suite=$1 file=$2
folder=$(mktemp -d "${TMPDIR:-/tmp}/debian.XXXXXX")
trap 'rm -rf "$folder"' EXIT
# The folder becomes the image's /, which everybody must be able to enter.
chmod 755 "$folder"
root=$folder/root
mirror=$(awk '/^URIs:/ { print $2; exit } /^deb / { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print $i; exit } }' \
  /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null)
mirror=${mirror:-http://deb.debian.org/debian}

debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
  "$suite" "$root" "$mirror"

cat > "$root/etc/apt/sources.list" <<SOURCES
deb $mirror $suite main
deb $mirror $suite-updates main
deb $mirror-security $suite-security main
SOURCES
# As the official slim images are: no documentation, no translations, no service that starts.
cat > "$root/etc/dpkg/dpkg.cfg.d/docker" <<'DPKG'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
force-unsafe-io
DPKG
cat > "$root/etc/apt/apt.conf.d/docker" <<'APT'
Acquire::Languages "none";
Acquire::Retries "3";
APT
cp /etc/apt/apt.conf.d/*check-valid-until* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
find "$root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "$root"/usr/share/locale/* "$root"/usr/share/man/* "$root"/usr/share/info/* \
  "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/*.log "$root/etc/machine-id" \
  "$root/etc/resolv.conf" "$root/etc/hostname"

# Both the bundle and its sources: a package's trigger would rewrite the bundle without them.
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
for authority in /usr/local/share/ca-certificates/*.crt; do
  [ ! -e "$authority" ] || install -D -m 644 "$authority" "$root$authority"
done

tar --create --file="$file" --directory="$root" --numeric-owner --sort=name .
