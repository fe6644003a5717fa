# Sourced by the scripts beside this file.
# shellcheck shell=bash

# tracked <git arguments>...: git, also where the checkout belongs to another user (a container's mount).
tracked() {
  git -c safe.directory='*' "$@"
}

require() {
  if ! command -v "$1" >/dev/null || ! tracked rev-parse --git-dir >/dev/null 2>&1; then
    echo "needs $1 and a git checkout"
    exit 77
  fi
}
