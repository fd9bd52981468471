# Functions that the scripts in this folder share. Sourced, never run.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# say TEXT...: a line of our own on stderr, told apart from the output of the tools.
say() { printf '==> %s\n' "$*" >&2; }

# die STATUS TEXT...: the end, with the reason.
die() {
  local status="$1"
  shift
  printf 'error: %s\n' "$*" >&2
  exit "$status"
}

# require_swift: a Swift that reads this package's manifest, or a message where to get one.
require_swift() {
  command -v swift >/dev/null 2>&1 || die 69 "no 'swift' on PATH: install Swift 6.2 or later from https://swift.org/install"
  local version
  version="$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)"
  case "$version" in
    "" | [0-5].* | 6.0 | 6.1) die 69 "Swift '$version' found, expected 6.2 or later: see https://swift.org/install" ;;
  esac
}

# install_packages PACKAGE...: those that dpkg doesn't know as installed come through apt, with sudo unless
# we are root. Elsewhere than on Debian and its children nothing can be checked or installed: say what is needed.
install_packages() {
  if ! command -v dpkg-query >/dev/null 2>&1; then
    say "not a Debian or Ubuntu system: these must be there under their local names: $*"
    return 0
  fi
  local package missing=()
  for package in "$@"; do
    if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      missing+=("$package")
    fi
  done
  [ "${#missing[@]}" -gt 0 ] || return 0

  local -a as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 \
      || die 77 "missing packages, and neither root nor sudo to install them: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  # Without a terminal sudo must not wait for a password.
  if [ "${#as_root[@]}" -gt 0 ] && ! [ -t 0 ]; then as_root+=(-n); fi
  "${as_root[@]}" apt-get update -qq >&2 \
    || say "apt-get update failed; trying with the package lists that are there"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 \
    || die 77 "could not install ${missing[*]}: run 'apt-get install ${missing[*]}' as root, then try again"
}

# What building this package takes beyond Swift: OpenBLAS and LAPACKE with their headers.
build_packages=(libopenblas-dev liblapacke-dev)
