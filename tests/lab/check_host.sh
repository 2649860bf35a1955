#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Stops `make up` at once where it cannot work, with one sentence that says what is missing.
set -euo pipefail
instead="or use hosts of your own: write them into a copy of inventory/fleet, run 'ansible-playbook -i COPY playbooks/cell_onboard.yml' and 'nanoctl serve --data DIR --inventory COPY'"
say() {
  echo "make up: $1; $instead." >&2
  exit 1
}
[ "$(uname -s)" = Linux ] || say "the lab needs Linux with Debian 12 or 13, this is $(uname -s)"
# shellcheck source=/dev/null
. /etc/os-release
case "${ID:-}:${VERSION_ID:-}" in
  debian:12 | debian:13) ;;
  *) say "the lab needs Debian 12 or 13, this is ${PRETTY_NAME:-unknown}" ;;
esac
[ "$(id -u)" -eq 0 ] || say "the lab needs root to make containers and bridges, try 'sudo make up'"
