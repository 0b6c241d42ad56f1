"""The module's dictionary and its sources keep the rules of Openbravo's database tool and of this project."""

import pathlib
import re
import unittest
import xml.etree.ElementTree as ElementTree

MODULE = pathlib.Path(__file__).resolve().parents[2] / "openbravo-module/org.openbravo.backup"
DATA = MODULE / "src-db/database/sourcedata"
TABLES = MODULE / "src-db/database/model/tables"
PACKAGE = "org.openbravo.backup"
PREFIX = "OBBKP"
ID = re.compile(r"[0-9A-F]{32}")
LONGEST_NAME = 30
STANDARD_COLUMNS = {
    "AD_CLIENT_ID", "AD_ORG_ID", "ISACTIVE", "CREATED", "CREATEDBY", "UPDATED", "UPDATEDBY",
}
# What the rows name of Openbravo itself, checked once against 24Q4: columns and the ids that may stand there.
CORE = {
    "AD_CLIENT_ID": {"0"},
    "AD_ORG_ID": {"0"},
    "AD_DEPENDENT_MODULE_ID": {"7E48CDD73B7E493A8BED4F7253E7C989"},  # Openbravo 3.0 Framework
    "AD_ELEMENT_ID": {"102", "113", "245", "246", "348", "607", "608"},  # of the standard columns
    "AD_REFERENCE_ID": {"10", "13", "14", "16", "17", "19", "20", "22", "30"},
    "PARENTREFERENCE_ID": {"17"},  # list
    "AD_TREE_ID": {"10"},  # menu
    "PARENT_ID": {"161"},  # General Setup || Application
}
REFERENCES = {  # columns that name a row, and the table it is in
    "AD_MODULE_ID": "AD_MODULE",
    "AD_PACKAGE_ID": "AD_PACKAGE",
    "AD_TABLE_ID": "AD_TABLE",
    "AD_WINDOW_ID": "AD_WINDOW",
    "AD_TAB_ID": "AD_TAB",
    "AD_COLUMN_ID": "AD_COLUMN",
    "AD_ELEMENT_ID": "AD_ELEMENT",
    "AD_REFERENCE_ID": "AD_REFERENCE",
    "AD_REFERENCE_VALUE_ID": "AD_REFERENCE",
    "PARENTREFERENCE_ID": "AD_REFERENCE",
    "AD_MODEL_OBJECT_ID": "AD_MODEL_OBJECT",
    "NODE_ID": "AD_MENU",
}


def rows():
    """All rows of the dictionary by table: a list of (id, columns)."""
    tables = {}
    for file in sorted(DATA.glob("*.xml")):
        table = file.stem
        tables[table] = [
            (row.findtext(f"{table}_ID"), {column.tag: column.text or "" for column in row})
            for row in ElementTree.parse(file).getroot()
        ]
    return tables


class Dictionary(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rows = rows()
        cls.ids = {table: {id for id, _ in found} for table, found in cls.rows.items()}

    def test_ids_are_32_hex_digits_and_stand_once(self):
        seen = set()
        for table, found in self.rows.items():
            for id, _ in found:
                self.assertRegex(id, ID, table)
                self.assertNotIn(id, seen, table)
                seen.add(id)

    def test_lines_are_as_the_export_writes_them(self):
        for file in DATA.glob("*.xml"):
            table = file.stem
            lines = file.read_text(encoding="utf-8").split("\n")
            self.assertEqual(lines[:2], ["<?xml version='1.0' encoding='UTF-8'?>", "<data>"])
            ids = re.findall(rf"^<!--(\w+)--><{table}>$", "\n".join(lines), re.M)
            self.assertEqual(ids, sorted(ids), table)
            self.assertEqual(len(ids), len(self.rows[table]), table)

    def test_references_resolve(self):
        for table, found in self.rows.items():
            for id, columns in found:
                for name, value in columns.items():
                    if name == f"{table}_ID" or not value:
                        continue
                    if name in REFERENCES:
                        known = self.ids[REFERENCES[name]] | CORE.get(name, set())
                        self.assertIn(value, known, f"{table} {id} {name}")
                    elif name in CORE:
                        self.assertIn(value, CORE[name], f"{table} {id} {name}")
                    else:
                        self.assertFalse(name.endswith("_ID"), f"{name} is not checked")

    def test_names_have_the_prefix(self):
        self.assertEqual([row["NAME"] for _, row in self.rows["AD_MODULE_DBPREFIX"]], [PREFIX])
        for table, column in [("AD_MESSAGE", "VALUE"), ("AD_TABLE", "TABLENAME"), ("AD_TABLE", "NAME")]:
            for id, row in self.rows[table]:
                self.assertTrue(row[column].startswith(f"{PREFIX}_"), f"{table} {id}")

    def test_the_window_is_for_the_system(self):
        for id, row in self.rows["AD_TABLE"]:
            self.assertEqual(row["ACCESSLEVEL"], "4", id)
        for id, row in self.rows["AD_TAB"]:
            self.assertEqual((row["UIPATTERN"], row["EM_OBUIAPP_CAN_ADD"]), ("RO", "N"), id)

    def test_fields_have_places_of_their_own(self):
        fields = [row for _, row in self.rows["AD_FIELD"]]
        for place in ["SEQNO", "GRID_SEQNO", "AD_COLUMN_ID"]:
            places = [row[place] for row in fields if place in row]
            self.assertEqual(len(places), len(set(places)), place)
        for row in fields:
            self.assertTrue(row["HELP"] and row["DESCRIPTION"], row["NAME"])

    def test_texts_are_used_and_those_used_are_there(self):
        there = {row["VALUE"].removeprefix(f"{PREFIX}_") for _, row in self.rows["AD_MESSAGE"]}
        words, used = set(), set()
        for file in [*MODULE.rglob("*.java"), *MODULE.rglob("*.js")]:
            text = file.read_text(encoding="utf-8")
            words.update(re.findall(r"[\"'](\w+)[\"']", text))
            used.update(re.findall(r"(?:Texts\.|\b)text\(\s*\"(\w+)\"", text))
            used.update(re.findall(r"label\(\s*'(\w+)'\s*\)", text))
            for name in re.findall(r"button\(\s*'(\w+)'", text):
                used.update([name, f"{name}Help"])
            # Words of the native library, of which a text is looked for: Part_database.
            words.update(re.findall(r"word\(\"(\w+)\"", text))
        self.assertLessEqual(used, there)
        for name in there - used:
            kind = name.partition("_")[0]
            self.assertIn(kind.removesuffix("Help"), words, name)


class Model(unittest.TestCase):
    def test_tables_keep_the_rules_of_the_database_tool(self):
        for file in TABLES.glob("*.xml"):
            table = ElementTree.parse(file).getroot().find("table")
            name = table.get("name")
            self.assertEqual(name, file.stem)
            self.assertEqual(table.get("primaryKey"), f"{name}_KEY")
            names = [name, table.get("primaryKey")]
            for kind in ["foreign-key", "check", "unique", "index"]:
                names += [one.get("name") for one in table.findall(kind)]
            columns = {column.get("name"): column for column in table.findall("column")}
            for one in [*names, *columns]:
                self.assertLessEqual(len(one), LONGEST_NAME, one)
            for one in names:
                self.assertTrue(one.startswith(f"{PREFIX}_"), one)
            self.assertLessEqual(STANDARD_COLUMNS, set(columns))
            keys = [n for n, column in columns.items() if column.get("primaryKey") == "true"]
            self.assertEqual(keys, [f"{name}_ID"])
            self.assertIn("ISACTIVE IN ('Y', 'N')", [check.text for check in table.findall("check")])
            local = {one.find("reference").get("local") for one in table.findall("foreign-key")}
            pointing = {one for one in columns if one.endswith("_ID")} - set(keys)
            self.assertEqual(local, pointing)

    def test_the_dictionary_describes_the_columns(self):
        data = rows()
        elements = {id: row["COLUMNNAME"].upper() for id, row in data["AD_ELEMENT"]}
        for table_id, table in data["AD_TABLE"]:
            file = TABLES / f"{table['TABLENAME'].upper()}.xml"
            model = ElementTree.parse(file).getroot().find("table").findall("column")
            columns = [row for _, row in data["AD_COLUMN"] if row["AD_TABLE_ID"] == table_id]
            columns.sort(key=lambda row: int(row["POSITION"]))
            self.assertEqual([row["COLUMNNAME"].upper() for row in columns], [one.get("name") for one in model])
            for row, one in zip(columns, model):
                name = one.get("name")
                self.assertEqual(row["ISMANDATORY"] == "Y", one.get("required") == "true", name)
                self.assertEqual(row["ISKEY"] == "Y", one.get("primaryKey") == "true", name)
                if one.get("type") == "VARCHAR":
                    self.assertEqual(row["FIELDLENGTH"], one.get("size"), name)
                if row["AD_ELEMENT_ID"] in elements:
                    self.assertEqual(elements[row["AD_ELEMENT_ID"]], name)
            self.assertIn("Y", [row["ISIDENTIFIER"] for row in columns])


class Sources(unittest.TestCase):
    def test_everything_lies_below_the_package(self):
        below = MODULE / "src" / PACKAGE.replace(".", "/")
        for file in (MODULE / "src").rglob("*"):
            if file.is_file():
                self.assertTrue(file.is_relative_to(below), file)

    def test_classes_that_the_dictionary_names_are_there(self):
        for id, row in rows()["AD_MODEL_OBJECT"]:
            self.assertTrue((MODULE / "src" / (row["CLASSNAME"].replace(".", "/") + ".java")).exists(), id)

    def test_every_handler_checks_the_role(self):
        for file in (MODULE / "src").rglob("*Handler.java"):
            if file.stem != "SystemAdministratorHandler":
                self.assertIn("extends SystemAdministratorHandler", file.read_text(encoding="utf-8"), file)

    def test_handlers_that_the_browser_calls_are_there(self):
        handlers = {file.stem for file in (MODULE / "src").rglob("*Handler.java")}
        called = set()
        for file in MODULE.rglob("*.js"):
            called.update(re.findall(r"'(\w+Handler)'", file.read_text(encoding="utf-8")))
        self.assertEqual(handlers - {"SystemAdministratorHandler"}, called)

    def test_the_buttons_are_in_the_tab(self):
        text = (MODULE / f"web/{PACKAGE}/js/obbkp-backups.js").read_text(encoding="utf-8")
        (tab,) = re.findall(r"TAB_ID = '(\w+)'", text)
        self.assertEqual([id for id, _ in rows()["AD_TAB"]], [tab])


if __name__ == "__main__":
    unittest.main()
