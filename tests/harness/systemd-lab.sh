#!/bin/bash
# Boots the real systemd of this machine as PID 1 of its own namespaces, over a throw-away copy of the root file
# system.
#
#   systemd-lab.sh DIR TREE      boot; TREE is laid over the root file system (units, programs, /etc)
#
#   ROOT=DIRECTORY               another root file system than this machine's, with another systemd
#   NETWORK=own                  a network of its own, with nothing but the loopback
#
# Stays in the foreground, prints "up PID" once the system is up, and ends it when its standard input ends, however
# the test ends. Everything else (systemctl and so on) is run inside by nsenter, with that PID. By default, network
# and loopback are the host's.
#
# Needs root, unshare and nsenter (util-linux), overlayfs, cgroup2.
set -eu
dir=$1 tree=$2
network=
[ "${NETWORK:-}" != own ] || network=--net

base=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[ -n "$base" ] || { echo "no cgroup2 hierarchy is mounted" >&2; exit 1; }
cgroup=$base/agentcheck-lab.$$
mkdir "$cgroup"

# In the new namespaces: a root of our own, then systemd in place of this shell.
inside='
	set -eu
	m=$DIR/mount
	mkdir -p "$m"
	mount -t tmpfs -o mode=755 tmpfs "$m"
	mkdir "$m/upper" "$m/work" "$m/root"
	r=$m/root
	mount -t overlay overlay -o "lowerdir=$ROOT,upperdir=$m/upper,workdir=$m/work" "$r"
	mount -t proc -o nosuid,nodev,noexec proc "$r/proc"
	mount -t sysfs -o nosuid,nodev,noexec sysfs "$r/sys"
	mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$r/sys/fs/cgroup"
	mount -t tmpfs -o nosuid,mode=755 tmpfs "$r/dev"
	for node in null zero full random urandom tty; do
		touch "$r/dev/$node"
		mount --bind "/dev/$node" "$r/dev/$node"
	done
	mkdir "$r/dev/pts" "$r/dev/shm" "$r/dev/mqueue"
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$r/dev/pts"
	ln -s pts/ptmx "$r/dev/ptmx"
	ln -s /proc/self/fd "$r/dev/fd"
	ln -s fd/0 "$r/dev/stdin"
	ln -s fd/1 "$r/dev/stdout"
	ln -s fd/2 "$r/dev/stderr"
	mount -t tmpfs -o nosuid,nodev tmpfs "$r/dev/shm"
	mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs "$r/run"
	mkdir -p "$r/run/lock"

	# None of the units of the host; of the vendors only the requested ones. Default dependencies stay, without their
	# work: no sysctl, no modules, and no tmpfiles, which would empty /tmp.
	rm -rf "$r/etc/systemd/system"
	mkdir -p "$r/etc/systemd/system"
	for target in sysinit local-fs sockets basic timers multi-user; do
		rm -rf "$r/lib/systemd/system/$target.target.wants" "$r/usr/lib/systemd/system/$target.target.wants"
	done
	mkdir -p "$r/etc/tmpfiles.d"
	ln -sf /dev/null "$r/etc/tmpfiles.d/tmp.conf"
	mount --bind "$r/proc/sys" "$r/proc/sys"
	mount -o remount,bind,ro,nosuid,nodev,noexec "$r/proc/sys"

	cp -a --no-preserve=ownership "$TREE"/. "$r"/

	cat >"$r/etc/systemd/system/lab.target" <<-END
		[Unit]
		Description=What the lab boots to
		Requires=systemd-journald.service
		Wants=systemd-journald.socket systemd-journald-dev-log.socket
		After=systemd-journald.service
		AllowIsolate=yes
	END
	mkdir -p "$r/etc/systemd/journald.conf.d" "$r/etc/systemd/system.conf.d"
	printf "%s\n" "[Journal]" Storage=volatile ReadKMsg=no Audit=no RateLimitBurst=0 \
		ForwardToSyslog=no >"$r/etc/systemd/journald.conf.d/lab.conf"
	printf "%s\n" "[Manager]" DefaultTimeoutStopSec=5s >"$r/etc/systemd/system.conf.d/lab.conf"
	echo lab >"$r/etc/hostname"

	mkdir -p "$r/old"
	cd "$r"
	pivot_root . old
	umount -l /old
	rmdir /old
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=lab LANG=C.UTF-8 \
		SYSTEMD_GENERATOR_PATH=/none \
		/lib/systemd/systemd --system --unit=lab.target --show-status=no
'

(
	echo "$BASHPID" >"$cgroup/cgroup.procs"
	exec env -i DIR="$dir" TREE="$tree" ROOT="${ROOT:-/}" PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		unshare --mount --pid --fork --kill-child --cgroup --uts --ipc $network --propagation private \
		bash -c "$inside"
) </dev/null &
unshare=$!

clean() {
	trap - EXIT
	# All is on tmpfs in private namespaces, so SIGKILL to their PID 1 is a clean end; it goes with
	# unshare, and takes every process of the namespace with it.
	kill -9 "$unshare" 2>/dev/null || true
	wait "$unshare" 2>/dev/null || true
	for _ in $(seq 500); do
		[ -d "$cgroup" ] || break
		find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.02
	done
}
trap clean EXIT
trap 'exit 1' HUP INT TERM

enter() { nsenter -t "$pid" -m -p -n -u -i -C -- "$@"; }

while kill -0 "$unshare" 2>/dev/null; do
	pid=$(cat "/proc/$unshare/task/$unshare/children" 2>/dev/null || true)
	pid=${pid%% *}
	if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = systemd ]; then
		state=$(enter systemctl is-system-running 2>/dev/null || true)
		case $state in
		running | degraded)
			echo "up $pid"
			# Blocks until the test closes its end, by intent or by dying.
			cat >/dev/null
			exit 0
			;;
		esac
	fi
	sleep 0.02
done
echo "systemd did not come up" >&2
exit 1
