#!/bin/bash
# Does the same as the clustercheck scripts under xinetd: queries the node with the mysql client, and answers over HTTP.
# clustercheck.sh DEFAULTS_FILE [AVAILABLE_WHEN_DONOR] [AVAILABLE_WHEN_READONLY]
DEFAULTS=$1
DONOR=${2:-0}
READONLY=${3:-1}

answer() {
    local body="Percona XtraDB Cluster Node is $2."$'\r\n'
    echo -en "HTTP/1.1 $1\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    echo -en "Content-Length: ${#body}\r\n\r\n$body"
    # The scripts sleep here, too: bash closes at once, and the client may read slowly.
    sleep 0.1
    exit "$3"
}

query() {
    timeout 10 mysql --defaults-file="$DEFAULTS" -nNE --connect-timeout=10 -e "$1" 2>/dev/null | tail -1
}

state=$(query "SHOW STATUS LIKE 'wsrep_local_state';")
if [[ $state == 4 || ($state == 2 && $DONOR == 1) ]]; then
    if [[ $READONLY == 0 && $(query "SHOW GLOBAL VARIABLES LIKE 'read_only';") == ON ]]; then
        answer "503 Service Unavailable" "read-only" 1
    fi
    answer "200 OK" "synced" 0
fi
answer "503 Service Unavailable" "not synced" 1
