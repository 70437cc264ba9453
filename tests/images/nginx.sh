#!/bin/bash
# Writes the root file system of a container with Debian's nginx to a tar file: nginx-light and all that it depends
# on, unpacked from the very packages. Their scripts do not run, so nothing of the host is changed; what the scripts
# would have made (users, a configuration for a container) is written here.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 FILE.tar" >&2; exit 2; }
output=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/packages" "$work/root"

# Depends and PreDepends, as deep as they go; lines that are indented or in angle brackets name no real package.
mapfile -t packages < <(
    apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances nginx-light | grep -E '^[a-z0-9]' | sort -u
)
[ ${#packages[@]} -gt 1 ] || { echo "apt knows no nginx-light; run apt-get update" >&2; exit 1; }
cd "$work/packages"
apt-get download -qq -o APT::Sandbox::User=root "${packages[@]}"
for package in *.deb; do
    dpkg -x "$package" "$work/root"
done

cd "$work/root"
rm -rf usr/share/{doc,man,locale,perl5,perl} etc/nginx/modules-enabled
mkdir -p tmp run var/log/nginx var/lib/nginx
chmod 1777 tmp
echo 'root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin' > etc/passwd
echo 'root:x:0:
www-data:x:33:' > etc/group
cat > etc/nginx/roadstead.conf <<'CONF'
daemon off;
user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr;
events {}
http {
    access_log /dev/stdout;
    server {
        listen 8080;
        location = /health { return 200 "ok\n"; }
        location / { root /usr/share/nginx/html; }
    }
}
CONF
tar --create --file "$output" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner .
