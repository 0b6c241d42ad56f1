//! The order in which `pg_restore` builds keys and indexes: those of large tables first.
//!
//! Over several connections `pg_restore` takes the ready entry with the lowest number next, and numbers follow the
//! age of the tables. When the largest table is the youngest, its primary key comes last and the other
//! connections have nothing left to do meanwhile. So keys and indexes change numbers among each other; what depends on
//! them is told the new ones, and their places in the archive stay.
//!
//! Those that call a function of the database come last: it may read other tables for each row, which is quick only
//! with their keys, and it would hold these up meanwhile. Measured: 1.7 of 20 seconds for one index.

use std::collections::{HashMap, HashSet};

use super::archive::Archive;

/// Numbers the keys and indexes of `archive`: those without functions first, then by the size of their tables, of
/// which `bytes` knows some by schema and name, joined by a dot.
pub(super) fn largest_first(archive: &mut Archive, bytes: &HashMap<String, u64>) {
    let tables: HashMap<_, _> = archive
        .entries
        .iter()
        .filter(|entry| entry.kind() == "TABLE")
        .filter_map(|entry| Some((entry.id, *bytes.get(&entry.name())?)))
        .collect();
    let functions: HashSet<_> = archive
        .entries
        .iter()
        .filter(|entry| entry.kind() == "FUNCTION")
        .map(|entry| entry.id)
        .collect();
    let mut built: Vec<_> = archive
        .entries
        .iter()
        .filter(|entry| matches!(&*entry.kind(), "CONSTRAINT" | "INDEX"))
        .map(|entry| {
            let table = entry.dependencies().find_map(|id| tables.get(&id));
            (
                entry.dependencies().any(|id| functions.contains(&id)),
                std::cmp::Reverse(table.copied().unwrap_or(0)),
                entry.id,
            )
        })
        .collect();
    let mut numbers: Vec<_> = built.iter().map(|&(.., id)| id).collect();
    numbers.sort_unstable();
    built.sort_unstable();
    let renumbered = built.into_iter().map(|(.., id)| id).zip(numbers).collect();
    archive.renumber(&renumbered);
}

#[cfg(test)]
mod tests {
    use super::super::archive::tests::archive_of;
    use super::*;

    #[test]
    fn an_index_that_calls_a_function_comes_after_the_keys_that_the_function_may_read() {
        let mut archive = archive_of(&[
            (1, "FUNCTION", "location_identifier(text)", &[]),
            (2, "TABLE", "large", &[]),
            (3, "TABLE", "small", &[]),
            (4, "INDEX", "large_identifier", &[1, 2]),
            (5, "CONSTRAINT", "small_key", &[3]),
        ]);
        let bytes = [("public.small", 10), ("public.large", 1000)];
        let bytes = bytes.map(|(name, bytes)| (name.to_owned(), bytes));
        largest_first(&mut archive, &bytes.into());
        let numbers: Vec<_> = archive.entries[3..].iter().map(|entry| entry.id).collect();
        assert_eq!(numbers, [5, 4]);
    }

    #[test]
    fn keys_and_indexes_of_the_largest_table_have_the_lowest_numbers() {
        let mut archive = archive_of(&[
            (1, "TABLE", "small", &[]),
            (2, "TABLE", "large", &[]),
            (3, "INDEX", "small_day", &[1]),
            (4, "CONSTRAINT", "small_key", &[1]),
            (5, "INDEX", "large_day", &[2]),
            (6, "CONSTRAINT", "large_key", &[2]),
            (7, "FK CONSTRAINT", "small_of_large", &[1, 2, 6]),
        ]);
        let bytes = [("public.small", 10), ("public.large", 1000)];
        let bytes = bytes.map(|(name, bytes)| (name.to_owned(), bytes));
        largest_first(&mut archive, &bytes.into());
        let numbers: Vec<_> = archive
            .entries
            .iter()
            .map(|entry| (entry.tag().into_owned(), entry.id))
            .collect();
        let expected = [
            ("small", 1),
            ("large", 2),
            ("small_day", 5),
            ("small_key", 6),
            ("large_day", 3),
            ("large_key", 4),
            ("small_of_large", 7),
        ];
        assert_eq!(numbers, expected.map(|(tag, id)| (tag.to_owned(), id)));
        let foreign_key: Vec<_> = archive.entries[6].dependencies().collect();
        assert_eq!(foreign_key, [1, 2, 4]);
    }
}
