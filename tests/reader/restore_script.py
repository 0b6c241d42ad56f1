"""What a database catalog becomes: pg_dump's archive, COPY text for each table, and a script that loads them.

Belongs to obbackup_reader.py; docs/format.md says what the entries mean.
"""

import hashlib
import json
import re
import shlex
import urllib.parse


def quote(*names):
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def grants(entry, thing):
    """Statements that give the privileges on `thing` anew; none where they are the server's default."""
    if "grants" not in entry:
        return
    yield f"REVOKE ALL ON {thing} FROM PUBLIC, {quote(entry['owner'])};"
    for grant in entry["grants"]:
        to = quote(grant["grantee"]) if "grantee" in grant else "PUBLIC"
        option = " WITH GRANT OPTION" if grant.get("grantable") else ""
        statement = f"GRANT {grant['privilege']} ON {thing} TO {to}{option};"
        if grant["grantor"] != entry["owner"]:
            grantor = quote(grant["grantor"])
            statement = f"SET SESSION AUTHORIZATION {grantor}; {statement} RESET SESSION AUTHORIZATION;"
        yield statement


# These hold lists of names: each has to be quoted by itself.
LISTS = ("local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries")
LISTS += ("temp_tablespaces", "unix_socket_directories")


def setting_value(setting):
    if setting["name"].lower() not in LISTS:
        return literal(setting["value"])
    names = re.findall(r'"((?:[^"]|"")*)"|([^",\s]+)', setting["value"])
    return ", ".join(literal(quoted.replace('""', '"') or plain) for quoted, plain in names) or "''"


def create_statements(state, role):
    """The roles that are known and the empty database, which psql calls :"target"."""
    roles = {role, state["owner"]} | {setting["role"] for setting in state.get("settings", []) if "role" in setting}
    for grant in state.get("grants", []):
        roles |= {grant["grantor"], grant.get("grantee", role)}
    for role in sorted(roles):
        yield f"SELECT {literal('CREATE ROLE ' + quote(role))} WHERE to_regrole({literal(quote(role))}) IS NULL \\gexec"
    locale = literal(state.get("locale", ""))
    provider = {
        "libc": ":provider",
        "icu": f"LOCALE_PROVIDER icu ICU_LOCALE {locale}",
        "builtin": f"LOCALE_PROVIDER builtin BUILTIN_LOCALE {locale}",
    }[state["locale_provider"]]
    rules = f" ICU_RULES {literal(state['icu_rules'])}" if "icu_rules" in state else ""
    # Servers before 15 do not know the word, later ones may prefer another provider.
    yield "SELECT CASE WHEN :SERVER_VERSION_NUM < 150000 THEN '' ELSE 'LOCALE_PROVIDER libc' END AS provider \\gset"
    yield f'CREATE DATABASE :"target" TEMPLATE template0 OWNER {quote(state["owner"])} {provider}{rules}'
    yield f"  ENCODING {literal(state['encoding'])} LC_COLLATE {literal(state['collate'])}"
    yield f"  LC_CTYPE {literal(state['ctype'])};"


def settle_statements(state):
    """What belongs to the database itself; last, because it may stand in the way of loading."""
    database = 'DATABASE :"target"'
    if "comment" in state:
        yield f"COMMENT ON {database} IS {literal(state['comment'])};"
    for setting in state.get("settings", []):
        whose = f"ROLE {quote(setting['role'])} IN {database}" if "role" in setting else database
        yield f"ALTER {whose} SET {quote(setting['name'])} TO {setting_value(setting)};"
    yield from grants(state, database)
    yield f"ALTER {database} CONNECTION LIMIT {state['connection_limit']};"
    yield f"ALTER {database} IS_TEMPLATE {state['is_template']};"
    if "tablespace" in state:
        yield f"-- It lay in the tablespace {quote(state['tablespace'])}."


def large_object_statements(entry, pieces):
    oid, offset = entry["oid"], 0
    yield f"SELECT pg_catalog.lo_create({oid});"
    for piece in pieces:
        for start in range(0, len(piece), 1 << 18):
            part = piece[start : start + (1 << 18)]
            yield f"SELECT pg_catalog.lo_put({oid}, {offset}, '\\x{part.hex()}');"
            offset += len(part)
    yield f"ALTER LARGE OBJECT {oid} OWNER TO {quote(entry['owner'])};"
    if "comment" in entry:
        yield f"COMMENT ON LARGE OBJECT {oid} IS {literal(entry['comment'])};"
    yield from grants(entry, f"LARGE OBJECT {oid}")


RESTORE_SH = r"""#!/bin/sh
# Loads this database into a new one: sh restore.sh [NAME]
#
# Run it as a superuser of the server that PGHOST, PGPORT and PGUSER name. Roles that are missing are made where
# they are known, without a right to log in; where pg_restore names another, make it, drop the new database, and
# begin again. ANALYZE the database afterwards.
set -eu
cd "$(dirname "$0")"
target=${1:-%(name)s}
export PGCLIENTENCODING=UTF8
export PGOPTIONS="-c search_path= -c IntervalStyle=postgres -c DateStyle=ISO -c xmloption=content -c lc_monetary=C
    -c row_security=off -c standard_conforming_strings=on -c default_transaction_read_only=off
    -c synchronous_commit=off -c client_min_messages=warning"

run() { psql -X -q -A -t -v ON_ERROR_STOP=1 -v target="$target" "$@"; }
definitions() { pg_restore --exit-on-error --section="$1" --dbname= ddl.dump; }
load() { # file, table, columns and encoding: what psql is to read
    # Where a row of a partition belongs can depend on the server: its root knows.
    cat <<END
SELECT coalesce(pg_catalog.pg_partition_root('$2'), '$2') AS place \\gset
COPY :place $3;
END
    cat "tables/$1"
    printf '%%s\n' '\.' "\\echo $1 :ROW_COUNT"
}
tables() {
    :
%(loads)s
}

run -d postgres -f create.sql
export PGDATABASE="$target"
definitions pre-data
# Tables of extensions have their triggers and foreign keys already.
tables | PGOPTIONS="$PGOPTIONS -c session_replication_role=replica" run -f - >tables.loaded
diff -u tables.rows tables.loaded
run -f large_objects.sql >/dev/null
definitions post-data
run -f sequences.sql >/dev/null
run -f settle.sql
"""


def load_line(table):
    columns = f"({', '.join(map(quote, table['columns']))}) " if table["columns"] else ""
    name = quote(table["schema"], table["name"]).replace("'", "''")
    how = f"{columns}FROM STDIN (ENCODING {literal(table['encoding'])})"
    return f"    load {shlex.quote(table['file'])} {shlex.quote(name)} {shlex.quote(how)}"


def table_file(table):
    """A name that is safe on every file system, and tells which table it is."""
    names = (urllib.parse.quote(name, safe="").replace(".", "%2E") for name in (table["schema"], table["name"]))
    name = ".".join(names)
    return f"{name[:200]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}.copy" if len(name) > 200 else f"{name}.copy"


class DatabaseFiles:
    """A directory that takes the entries of a catalog one by one, each by the method of its kind."""

    KINDS = ("database", "ddl", "table", "range", "sequence", "large_object")

    def __init__(self, part, target, stream):
        self.part, self.target, self.stream = part, target, stream
        self.tables = []
        (target / "tables").mkdir(parents=True, mode=0o700)
        for name in ("create", "large_objects", "sequences", "settle"):
            self.write(name, ())

    def append(self, name, pieces):
        """Adds all of `pieces` to a file, or nothing where one of them is damaged."""
        with (self.target / name).open("ab") as file:
            before = file.tell()
            try:
                file.writelines(pieces)
            except BaseException:
                file.truncate(before)
                raise

    def write(self, name, statements):
        self.append(f"{name}.sql", (f"{statement}\n".encode() for statement in statements))

    def database(self, entry):
        self.write("create", create_statements(entry, self.part["application_role"]))
        self.write("settle", settle_statements(entry))

    def ddl(self, entry):
        self.append("ddl.dump", self.stream(entry))

    def table(self, entry):
        self.tables.append({"file": table_file(entry), **entry})
        (self.target / "tables" / self.tables[-1]["file"]).touch(exist_ok=False)

    def range(self, entry):
        self.append(f"tables/{self.tables[-1]['file']}", self.stream(entry))

    def sequence(self, entry):
        name = literal(quote(entry["schema"], entry["name"]))
        self.write("sequences", [f"SELECT pg_catalog.setval({name}, {entry['last_value']}, {entry['is_called']});"])

    def large_object(self, entry):
        self.write("large_objects", large_object_statements(entry, self.stream(entry)))

    def finish(self):
        rows = "".join(f"{table['file']} {table['rows']}\n" for table in self.tables)
        (self.target / "tables.rows").write_text(rows)
        (self.target / "tables.json").write_text(json.dumps(self.tables, indent=1))
        words = {"name": shlex.quote(self.part["name"]), "loads": "\n".join(map(load_line, self.tables))}
        (self.target / "restore.sh").write_text(RESTORE_SH % words)
