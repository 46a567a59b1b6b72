#!/bin/bash
# Makes the database cluster on the first start, then becomes the server.
# Arguments are passed to postgres.
set -euo pipefail

bin=/usr/lib/postgresql/15/bin
volume=/var/lib/postgresql/data
data=$volume/15
password_file=$NOMAD_SECRETS_DIR/superuser_password

if [ "$(id -u)" = 0 ]; then
    chown postgres:postgres "$volume"
    chmod 700 "$volume"
    install -o postgres -g postgres -m 0400 "$password_file" /tmp/superuser_password
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

# Built aside and renamed: a start that was cut off leaves nothing half made.
if [ ! -d "$data" ]; then
    rm -rf "$volume/init"
    "$bin/initdb" -D "$volume/init" -U postgres --encoding=UTF8 --locale=C.UTF-8 \
        --auth=scram-sha-256 --pwfile=/tmp/superuser_password --data-checksums
    mv "$volume/init" "$data"
fi
rm -f /tmp/superuser_password

exec "$bin/postgres" -D "$data" \
    -c hba_file=/usr/local/share/platform/pg_hba.conf \
    -c unix_socket_directories=/var/run/postgresql \
    "$@"
