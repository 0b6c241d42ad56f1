#!/usr/bin/env bash
# Makes of the module's sources and the jar of `make java` what Openbravo takes: the directory for modules/, and the
# .obx for Module Management.
#
#   package.sh DIRECTORY   writes DIRECTORY/org.openbravo.backup and DIRECTORY/org.openbravo.backup-VERSION.obx
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
package=org.openbravo.backup
mkdir -p "$1"
target=$(cd "$1" && pwd)

version=$(sed -n 's/.*<VERSION><!\[CDATA\[\(.*\)\]\]><\/VERSION>.*/\1/p' "$here/$package/src-db/database/sourcedata/AD_MODULE.xml")
jar=$here/../java/target/obbackup-$version.jar
if [[ ! -f $jar ]]; then
  echo "there is no $jar: run \`make java\`, and give the crate and the module the same version" >&2
  exit 1
fi

rm -rf "${target:?}/$package" "$target/$package-$version.obx"
cp -R "$here/$package" "$target/$package"
mkdir -p "$target/$package/lib/runtime"
cp "$jar" "$target/$package/lib/runtime/"
# An .obx is a zip whose entries begin with the package.
(cd "$target" && jar --create --no-manifest --file "$package-$version.obx" "$package")
echo "$target/$package"
echo "$target/$package-$version.obx"
