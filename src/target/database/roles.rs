//! The roles that definitions name, and putting others in their place.

use std::collections::BTreeSet;

/// Finds the roles in statements that `pg_dump` writes for privileges and policies, and lets `rename`
/// say what stands there instead; a GRANT or REVOKE whose role is renamed to nothing is left out.
///
/// Only the statements' own words are looked at: what is quoted or in parentheses is a name, a
/// string or an expression.
pub(super) fn rewrite(sql: &str, mut rename: impl FnMut(&str) -> Option<String>) -> String {
    let mut result = String::with_capacity(sql.len());
    for statement in statements(sql) {
        result.extend(rewrite_statement(statement, &mut rename));
    }
    result
}

/// The roles in such statements.
pub(super) fn named(sql: &str) -> BTreeSet<String> {
    let mut roles = BTreeSet::new();
    rewrite(sql, |role| {
        roles.insert(role.to_owned());
        Some(role.to_owned())
    });
    roles
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    QuotedName,
    Space,
    Comma,
    Semicolon,
    Other,
}

/// Pieces of SQL at nesting depth 0; a parenthesis with all in it is one piece.
fn tokens(sql: &str) -> Vec<(Kind, &str)> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (kind, length) = match first {
            '"' => (Kind::QuotedName, quoted_length(rest, '"', false)),
            '\'' => (Kind::Other, quoted_length(rest, '\'', false)),
            'E' | 'e' if rest.get(1..2) == Some("'") => {
                (Kind::Other, 1 + quoted_length(&rest[1..], '\'', true))
            }
            '(' => (Kind::Other, parenthesis_length(rest)),
            ',' => (Kind::Comma, 1),
            ';' => (Kind::Semicolon, 1),
            _ if first.is_whitespace() => (Kind::Space, run_length(rest, char::is_whitespace)),
            _ if is_word(first) => (Kind::Word, run_length(rest, is_word)),
            _ => (Kind::Other, first.len_utf8()),
        };
        let (token, after) = rest.split_at(length.clamp(first.len_utf8(), rest.len()));
        tokens.push((kind, token));
        rest = after;
    }
    tokens
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

fn run_length(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|character| !belongs(character))
        .unwrap_or(text.len())
}

/// The length of a quoted piece with its quotes; a doubled quote is part of it.
fn quoted_length(text: &str, quote: char, has_backslashes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if has_backslashes && character == '\\' {
            characters.next();
        } else if character == quote {
            if characters.peek().is_some_and(|(_, next)| *next == quote) {
                characters.next();
            } else {
                return at + quote.len_utf8();
            }
        }
    }
    text.len()
}

fn parenthesis_length(text: &str) -> usize {
    let mut at = 1;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or(')');
        at += match first {
            ')' => return at + 1,
            '(' => parenthesis_length(rest),
            '"' | '\'' => quoted_length(rest, first, false),
            'E' | 'e' if rest.get(1..2) == Some("'") => 1 + quoted_length(&rest[1..], '\'', true),
            // A word's last letter is no string's prefix.
            _ if is_word(first) => run_length(rest, is_word),
            _ => first.len_utf8(),
        };
    }
    text.len()
}

/// Each with its semicolon and what follows up to the next.
fn statements(sql: &str) -> Vec<Vec<(Kind, &str)>> {
    let mut all = vec![Vec::new()];
    for token in tokens(sql) {
        if let Some(statement) = all.last_mut() {
            statement.push(token);
        }
        if token.0 == Kind::Semicolon {
            all.push(Vec::new());
        }
    }
    all
}

fn rewrite_statement(
    tokens: Vec<(Kind, &str)>,
    rename: &mut impl FnMut(&str) -> Option<String>,
) -> Option<String> {
    let mut result = String::new();
    let mut words: Vec<String> = Vec::new();
    // Whether a role, or after a comma another one, comes next.
    let mut expecting = false;
    let mut listing = false;
    for (kind, token) in tokens {
        match kind {
            Kind::Space => {}
            Kind::Comma => expecting = listing,
            Kind::Word | Kind::QuotedName if expecting => {
                expecting = false;
                listing = true;
                let role = if kind == Kind::QuotedName {
                    token.trim_matches('"').replace("\"\"", "\"")
                } else {
                    token.to_owned()
                };
                // Words that stand where a role does.
                let is_special = kind == Kind::Word
                    && matches!(
                        token.to_ascii_uppercase().as_str(),
                        "PUBLIC" | "CURRENT_USER" | "SESSION_USER" | "CURRENT_ROLE" | "DEFAULT"
                    );
                if is_special {
                    result.push_str(token);
                } else {
                    result.push_str(&crate::postgresql::quote::name(&rename(&role)?));
                }
                continue;
            }
            Kind::Word => {
                listing = false;
                let word = token.to_ascii_uppercase();
                let last = words.last().map(String::as_str);
                expecting = match word.as_str() {
                    "TO" | "FROM" => true,
                    "AUTHORIZATION" => last == Some("SESSION"),
                    "ROLE" => last == Some("FOR"),
                    "FOR" => words.iter().any(|word| word == "MAPPING"),
                    "BY" => last == Some("GRANTED"),
                    _ => false,
                };
                words.push(word);
            }
            Kind::QuotedName | Kind::Semicolon | Kind::Other => {
                listing = false;
                expecting = false;
            }
        }
        result.push_str(token);
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_new(role: &str) -> Option<String> {
        match role {
            "tad" => Some("New \"one".to_owned()),
            "gone" => None,
            other => Some(other.to_owned()),
        }
    }

    #[test]
    fn privileges_name_other_roles_and_lose_missing_ones() {
        let sql = "REVOKE ALL ON FUNCTION public.f(a text, \"TO\" tad) FROM PUBLIC;\n\
                   GRANT ALL ON TABLE public.\"TO tad\" TO tad WITH GRANT OPTION;\n\
                   SET SESSION AUTHORIZATION tad;\nGRANT SELECT(a) ON TABLE x TO gone;\n\
                   RESET SESSION AUTHORIZATION;\n";
        assert_eq!(
            rewrite(sql, to_new),
            "REVOKE ALL ON FUNCTION public.f(a text, \"TO\" tad) FROM PUBLIC;\n\
             GRANT ALL ON TABLE public.\"TO tad\" TO \"New \"\"one\" WITH GRANT OPTION;\n\
             SET SESSION AUTHORIZATION \"New \"\"one\";\nRESET SESSION AUTHORIZATION;\n"
        );
        assert_eq!(
            named(sql),
            BTreeSet::from(["tad".to_owned(), "gone".to_owned()])
        );
    }

    #[test]
    fn default_privileges_policies_and_user_mappings_too() {
        let rename = |sql: &str| rewrite(sql, to_new);
        assert_eq!(
            rename(
                "ALTER DEFAULT PRIVILEGES FOR ROLE tad IN SCHEMA tad GRANT ALL ON TABLES TO tad;"
            ),
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"New \"\"one\" IN SCHEMA tad GRANT ALL ON TABLES \
             TO \"New \"\"one\";"
        );
        assert_eq!(
            rename(
                "CREATE POLICY p ON s.t FOR SELECT TO a, tad USING ((who = 'it''s TO tad' AND f(E'\\'' )));"
            ),
            "CREATE POLICY p ON s.t FOR SELECT TO \"a\", \"New \"\"one\" \
             USING ((who = 'it''s TO tad' AND f(E'\\'' )));"
        );
        assert_eq!(
            rename("CREATE USER MAPPING FOR tad SERVER s OPTIONS (\"user\" 'tad');"),
            "CREATE USER MAPPING FOR \"New \"\"one\" SERVER s OPTIONS (\"user\" 'tad');"
        );
    }

    #[test]
    fn nothing_is_lost_of_any_text() {
        for sql in [
            "", "'", "\"", "(", "E'", "GRANT", "a TO", "ü(ß'", "E'\\", "TO (",
        ] {
            assert_eq!(rewrite(sql, |role| Some(role.to_owned())), sql);
        }
    }
}
