#!/bin/sh
# dpkg calls it with "purge" when the configuration goes, too. The user stays: its number could be given
# to another one, and files of backups still belong to it.
set -e
[ "$1" != purge ] || rm -rf /var/log/gnatsd
[ ! -d /run/systemd/system ] || systemctl daemon-reload || true
