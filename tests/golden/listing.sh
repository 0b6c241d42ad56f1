#!/bin/sh
# One line for everything below a directory: kind, mode, time, names, size of a file, name, where a link leads; and each
# file's content. What does not travel between machines (owners, sizes of directories) is left out.
set -eu
cd "$1"
LC_ALL=C
TZ=UTC
export LC_ALL TZ
find . -type d -printf 'd %m %T@ %p\n' -o -type l -printf 'l %p -> %l\n' -o -type f -printf 'f %m %T@ %n %s %p\n' | sort
find . -type f -print0 | sort -z | xargs -0 -r sha256sum
