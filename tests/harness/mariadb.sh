#!/bin/sh
# Starts a MariaDB server in the foreground, with its tables and its socket in DIRECTORY. Root connects without a
# password, as the user who runs this. The tests and the benchmark use it.
#
#   mariadb.sh DIRECTORY OPTION...
#   mariadb.sh DIRECTORY --galera ADDRESS PORT GROUP:PORT TRANSFER:PORT OPTION...
#
# With --galera, the server is a cluster of one.
set -eu
directory=$1
shift
if [ "${1:-}" = --galera ]; then
	address=$2 port=$3 group=$4 transfer=$5
	shift 5
	set -- --bind-address="$address" --port="$port" --wsrep-on=ON --wsrep-cluster-address=gcomm:// \
		--binlog-format=ROW --innodb-autoinc-lock-mode=2 --wsrep-provider=/usr/lib/galera/libgalera_smm.so \
		--wsrep-node-address="${group%:*}" \
		--wsrep-provider-options="gmcast.listen_addr=tcp://$group;ist.recv_addr=$transfer" "$@"
fi
# A server that starts removes the temporary tables of all servers in this directory.
export TMPDIR="$directory"
common="--no-defaults --user=$(id -u) --datadir=$directory/data"
# shellcheck disable=SC2086 # several words
mariadb-install-db $common --skip-test-db --auth-root-authentication-method=normal
# shellcheck disable=SC2086
exec mariadbd $common --socket="$directory/socket" --pid-file="$directory/socket.pid" --innodb-buffer-pool-size=8M "$@"
