#!/usr/bin/env bash
# Makes a golden repository; see README.md. Once for each format version, and never again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
obbackup=$(realpath "$OLDPWD/$1")
[[ ! -e v1 ]] || { echo 'v1 is there, and is never made anew' >&2; exit 1; }

world=/tmp/golden repository=/tmp/golden-backups
mkdir "$world"
chmod 755 "$world"
trap 'rm -rf "$world" "$repository"' EXIT
sources=$world/openbravo attachments=$world/attachments deploy=$world/tomcat/webapps/openbravo
export CATALINA_BASE=$world/tomcat OBBACKUP_INSTANCE=$sources TZ=UTC HOME=$world
sql() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --set database=golden "$@"; }
# The same bytes each time.
noise() { openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv "$(printf %032x "$1")" -in /dev/zero 2>/dev/null | head -c "$2" || true; }

sql --dbname postgres --command "CREATE ROLE golden LOGIN CREATEDB PASSWORD 'golden'" \
    --command "CREATE DATABASE golden OWNER golden TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
PGUSER=golden PGPASSWORD=golden sql --dbname golden --file v1.sql >/dev/null

mkdir -p "$sources"/{config,src/org/openbravo,build/classes,lib,src-db/database/sourcedata} "$deploy/WEB-INF" \
    "$attachments"/259/R1 "$attachments"/259-R2 "$sources/modules/com.example.golden/src-db/database/sourcedata" "$sources/empty"
cat >"$sources/config/Openbravo.properties" <<EOF
bbdd.rdbms=POSTGRE
bbdd.url=jdbc:postgresql://$PGHOST:$PGPORT
bbdd.sid=golden
bbdd.user=golden
bbdd.password=golden
bbdd.systemUser=$PGUSER
bbdd.systemPassword=$PGPASSWORD
context.name=openbravo
source.path=$sources
attach.path=$attachments
EOF
for n in $(seq 40); do printf 'class Class%s { int n = %s; } // größer\n' "$n" "$n" >"$sources/src/org/openbravo/Class$n.java"; done
module() { printf '<data>\n<AD_MODULE>\n  <AD_MODULE_ID><![CDATA[%s]]></AD_MODULE_ID>\n  <VERSION><![CDATA[%s]]></VERSION>\n  <JAVAPACKAGE><![CDATA[%s]]></JAVAPACKAGE>\n</AD_MODULE>\n</data>\n' "$@"; }
module 0 3.0.244900 org.openbravo >"$sources/src-db/database/sourcedata/AD_MODULE.xml"
module A1 1.2.3 com.example.golden >"$sources/modules/com.example.golden/src-db/database/sourcedata/AD_MODULE.xml"
echo 'made by a build, not backed up' >"$sources/build/classes/X.class"
printf '#!/bin/sh\nexec ant\n' >"$sources/rebuild.sh"
chmod 750 "$sources/rebuild.sh"
ln -s ../src "$sources/lib/link"
ln "$sources/rebuild.sh" "$sources/lib/another-name"
noise 1 150000 >"$sources/lib/large.jar"
printf 'odd' >"$sources/lib/$(printf 'name-\xff')"
{ printf 'head'; } >"$sources/lib/sparse"
truncate -s 1048576 "$sources/lib/sparse"
printf 'tail' >>"$sources/lib/sparse"
: >"$sources/lib/empty-file"
echo '<web-app/>' >"$deploy/WEB-INF/web.xml"
cp "$sources/config/Openbravo.properties" "$deploy/WEB-INF/"
echo 'Größe 42' >"$attachments/259/R1/größe.txt"
noise 2 3000 >"$attachments/259-R2/scan.bin"
find "$world" -exec touch -h -d '2024-02-29 12:34:56.123456789' {} +

"$obbackup" --quiet init --repository "$repository" >/dev/null
touch -d '2024-02-29 12:34:56.123456789' "$sources/config" "$sources/config/obbackup.toml"
"$obbackup" --quiet backup --label 'first, größer' --pin >/dev/null
PGUSER=golden PGPASSWORD=golden sql --dbname golden --command "INSERT INTO nothing VALUES (1); DELETE FROM invoice WHERE invoice_id % 7 = 0" \
    --command 'REFRESH MATERIALIZED VIEW sums'
echo 'class Class1 { int n = 100; }' >"$sources/src/org/openbravo/Class1.java"
touch -d '2024-03-01 12:34:56.123456789' "$sources/src/org/openbravo/Class1.java"
rm "$sources/src/org/openbravo/Class2.java"
touch -d '2024-03-01 12:34:56.5' "$sources/src/org/openbravo"
sleep 3
"$obbackup" --quiet backup --label second --type scheduled >/dev/null
"$obbackup" --quiet verify latest --drill --scratch "$world" >/dev/null
"$obbackup" --json list >v1.json

# What an original looks like: parts as a restore lays them out.
sql --dbname golden --file rows.sql >v1.rows
mkdir "$world/parts"
mv "$sources/config" "$world/parts/configuration"
rm -rf "$sources/build" "$sources/.obbackup"
touch -d '2024-02-29 12:34:56.123456789' "$sources"
mv "$sources" "$world/parts/sources"
mv "$deploy" "$world/parts/deploy"
mv "$attachments" "$world/parts/attachments"
for part in sources deploy attachments configuration; do
    echo "== $part"
    ./listing.sh "$world/parts/$part"
done >v1.files
rm -rf "$repository/locks"
mv "$repository" v1
chmod -R u+rwX,go+rX v1
du -sh v1
