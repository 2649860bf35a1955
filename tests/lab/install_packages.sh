#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that are missing of those that a file lists (packages.txt when none
# is named); says nothing when none is missing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
list=${1:-$here/packages.txt}
missing=()
while read -r name; do
  dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$name")
done < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$list")
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "Debian packages are missing; as root: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
echo "==> Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Services must not start on this host merely because the lab needs their programs.
apt-get update -qq
apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" |
  sed -u -n 's/^Setting up \([^ ]*\).*/    \1/p'
