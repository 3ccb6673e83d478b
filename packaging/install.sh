#!/bin/sh
# install.sh install     installs agentcheck
# install.sh uninstall   removes what `install` installed, and reports what is left
# install.sh sources     lists the files that it needs, from which a release archive is made
#
# `make install` and the release archive's install.sh run it; both set the variables below. It needs a POSIX shell,
# sed and find, and nothing of make.
#
#   DESTDIR      put in front of every path: a directory in which a package is made
#   PREFIX       /usr
#   SYSCONFDIR   /etc
#   RELEASE      where the programs are
#   BINDIR, LIBDIR, MANDIR, DOCDIR, UNITDIR, SYSUSERSDIR, TMPFILESDIR   follow PREFIX
set -eu
umask 022
export LC_ALL=C

DESTDIR=${DESTDIR:-}
PREFIX=${PREFIX:-/usr}
SYSCONFDIR=${SYSCONFDIR:-/etc}
BINDIR=${BINDIR:-$PREFIX/bin}
LIBDIR=${LIBDIR:-$PREFIX/lib/agentcheck}
MANDIR=${MANDIR:-$PREFIX/share/man}
DOCDIR=${DOCDIR:-$PREFIX/share/doc/agentcheck}
# systemd reads its files below /usr and /usr/local, and below no other prefix.
case $PREFIX in
/usr | /usr/local) systemd=$PREFIX/lib ;;
*) systemd=$SYSCONFDIR ;;
esac
UNITDIR=${UNITDIR:-$systemd/systemd/system}
SYSUSERSDIR=${SYSUSERSDIR:-$systemd/sysusers.d}
TMPFILESDIR=${TMPFILESDIR:-$systemd/tmpfiles.d}
confdir=$SYSCONFDIR/agentcheck
xinetd=$SYSCONFDIR/xinetd.d/agentcheck
bash=$PREFIX/share/bash-completion/completions
zsh=$PREFIX/share/zsh/vendor-completions
fish=$PREFIX/share/fish/vendor_completions.d
programs='agentcheck agentcheck-responder'

action=${1:-}
case $0 in
/*) cd "${0%/*}/.." ;;
*) cd "./$(dirname "$0")/.." ;;
esac
RELEASE=${RELEASE:-target/release}

# The repository's files name the default paths. This makes them name the real ones.
paths() {
	sed -e "s|/usr/bin/agentcheck|$BINDIR/agentcheck|g" -e "s|/usr/lib/agentcheck|$LIBDIR|g" \
		-e "s|/usr/share/doc/agentcheck|$DOCDIR|g" -e "s|/etc/agentcheck|$confdir|g"
}

# An installation enables nothing, so the xinetd service is disabled.
xinetd_file() {
	paths <xinetd/agentcheck | sed 's|^\([[:space:]]*disable[[:space:]]*=\) no$|\1 yes|'
}

# Every file that is installed, a line each: MODE, "paths" or "copy", SOURCE, DESTINATION. No name has a blank.
files() {
	for program in $programs; do
		echo "755 copy $RELEASE/$program $BINDIR/$program"
		echo "644 copy completions/$program.bash $bash/$program"
		echo "644 copy completions/_$program $zsh/_$program"
		echo "644 copy completions/$program.fish $fish/$program.fish"
	done
	echo "644 copy packaging/setup $LIBDIR/setup"
	for unit in systemd/*.service systemd/*.socket; do
		echo "644 paths $unit $UNITDIR/${unit#systemd/}"
	done
	echo "644 copy systemd/agentcheck.sysusers $SYSUSERSDIR/agentcheck.conf"
	echo "644 copy systemd/agentcheck.tmpfiles $TMPFILESDIR/agentcheck.conf"
	for page in man/*.[1-8]; do
		echo "644 copy $page $MANDIR/man${page##*.}/${page#man/}"
	done
	# Every target of a link in an installed document is installed.
	for document in *.md LICENSE-* bench/*.md bench/*.svg; do
		[ ! -e "$document" ] || [ "$document" = RELEASING.md ] || echo "644 copy $document $DOCDIR/$document"
	done
	find docs -name '*.md' | sort | while read -r document; do
		echo "644 copy $document $DOCDIR/$document"
	done
	echo "644 copy packaging/third-party-licences.txt $DOCDIR/third-party-licences.txt"
	echo "644 paths xinetd/agentcheck $DOCDIR/xinetd/agentcheck"
	# Files to read and to copy: drop-ins for units as UNIT.d/NAME.conf, and files for other service managers.
	find systemd/optional packaging/init -type f | sort | while read -r file; do
		case $file in
		systemd/*) to=systemd/${file#systemd/optional/} ;;
		*) to=init/${file#packaging/init/} ;;
		esac
		echo "644 paths $file $DOCDIR/$to"
	done
	# The demo runs the programs of the repository.
	find examples -type f ! -name demo.sh | sort | while read -r file; do
		mode=644
		[ ! -x "$file" ] || mode=755
		echo "$mode copy $file $DOCDIR/$file"
	done
}

# put MODE DESTINATION: replaces a file by standard input at once, so that a program that runs keeps its own.
put() {
	mkdir -p "$DESTDIR${2%/*}"
	cat >"$DESTDIR$2.new"
	chmod "$1" "$DESTDIR$2.new"
	mv -f "$DESTDIR$2.new" "$DESTDIR$2"
	echo "$DESTDIR$2"
}

install() {
	for program in $programs; do
		if [ ! -x "$RELEASE/$program" ]; then
			echo "$RELEASE/$program does not exist. Run \`make build\` first, not as root." >&2
			exit 1
		fi
	done
	files | while read -r mode how from to; do
		[ -r "$from" ] || { echo "cannot read $PWD/$from" >&2; exit 1; }
		if [ "$how" = paths ]; then
			paths <"$from" | put "$mode" "$to"
		else
			put "$mode" "$to" <"$from"
		fi
	done
	# Configuration belongs to the operator: it is written once and never replaced.
	mkdir -p "$DESTDIR$confdir/conf.d"
	[ -e "$DESTDIR$confdir/agentcheck.toml" ] || put 644 "$confdir/agentcheck.toml" <examples/agentcheck.toml
	[ -e "$DESTDIR$xinetd" ] || xinetd_file | put 644 "$xinetd"

	[ -z "$DESTDIR" ] || return 0
	printf '\n%s\n' 'Installed. Next, as root:'
	echo "  sh $LIBDIR/setup                                   # makes accounts and directories"
	echo "  $BINDIR/agentcheck check --config $confdir/agentcheck.toml"
	echo 'With systemd:'
	echo '  systemctl daemon-reload'
	echo '  systemctl enable --now agentcheck-collector.service agentcheck.socket'
	echo "For other service managers: $DOCDIR/init"
}

# left WHAT NAME COMMAND: reports something that is left, and the command that removes it.
left() {
	[ -n "$reported" ] || printf '\n%s\n' 'These are left. To remove one, run the command beside it as root:'
	reported=yes
	printf '  %-20s %-36s %s\n' "$1" "$2" "$3"
}

# left_path WHAT PATH: the same, for a path that exists.
left_path() {
	if [ -e "$DESTDIR$2" ] || [ -L "$DESTDIR$2" ]; then
		left "$1" "$DESTDIR$2" "rm -r $DESTDIR$2"
	fi
}

uninstall() {
	# HAProxy gets a release reply before the programs are removed.
	if [ -z "$DESTDIR" ]; then
		PATH=$BINDIR:$PATH packaging/prerm remove
	fi
	# Programs of an earlier build need not be in $RELEASE any more.
	files | while read -r mode how from to; do
		if [ -e "$DESTDIR$to" ] || [ -L "$DESTDIR$to" ]; then
			rm -f "$DESTDIR$to"
			echo "removed $DESTDIR$to"
		fi
	done
	# A xinetd file that was edited is configuration.
	if [ -e "$DESTDIR$xinetd" ] && xinetd_file | cmp -s - "$DESTDIR$xinetd"; then
		rm -f "$DESTDIR$xinetd"
		echo "removed $DESTDIR$xinetd"
	fi
	# Directories of agentcheck, as far as they are empty now.
	for directory in "$DESTDIR$DOCDIR" "$DESTDIR$LIBDIR" "$DESTDIR$confdir"; do
		if [ -d "$directory" ]; then
			find "$directory" -depth -type d -exec rmdir {} + 2>/dev/null || :
		fi
	done
	# Directories that every system has are removed below DESTDIR only, and no others: it may be the root of a
	# container.
	if [ -n "$DESTDIR" ]; then
		for directory in "$BINDIR" "$UNITDIR" "$SYSUSERSDIR" "$TMPFILESDIR" "$MANDIR"/man1 "$MANDIR"/man5 \
			"$MANDIR"/man8 "$bash" "$zsh" "$fish" "${DOCDIR%/*}" "${LIBDIR%/*}" "$SYSCONFDIR/xinetd.d"; do
			(cd "$DESTDIR/" && rmdir -p "${directory#/}") 2>/dev/null || :
		done
	fi

	reported=
	left_path configuration "$confdir"
	left_path configuration "$xinetd"
	left_path configuration "$SYSCONFDIR/default/agentcheck"
	left_path 'init script' "$SYSCONFDIR/init.d/agentcheck"
	for unit in "$DESTDIR$SYSCONFDIR"/systemd/system/agentcheck*; do
		left_path 'unit or drop-in' "${unit#"$DESTDIR"}"
	done
	left_path 'replies' /run/agentcheck
	left_path 'overrides, history' /var/lib/agentcheck
	for user in agentcheck agentcheck-responder; do
		if grep -qs "^$user:" "$DESTDIR/etc/passwd"; then
			left user "$user" "userdel $user"
		fi
	done
}

case $action in
install) install ;;
uninstall) uninstall ;;
sources) files | cut -d ' ' -f 3 ;;
*)
	echo "usage: $0 install | uninstall | sources" >&2
	exit 2
	;;
esac
