#!/bin/sh
# Polls the application at each probe, with a timeout of one second. Such scripts are common under xinetd.
# After a failure it prints nothing, so HAProxy changes nothing.
n=$(curl --silent --fail --max-time 1 "$1" | sed -n 's/.*"msg-per-second": *\([0-9]*\).*/\1/p')
[ -n "$n" ] && echo "up $((100 - n * 100 / 7000))%"
