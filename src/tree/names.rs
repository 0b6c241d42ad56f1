//! Names and numbers of owners, as the operating system's user database has them.

use std::collections::HashMap;

use nix::unistd::{Gid, Group, Uid, User};

/// Remembers every answer: a directory service may take its time.
#[derive(Debug, Default)]
pub struct Names {
    users: HashMap<u32, Option<String>>,
    groups: HashMap<u32, Option<String>>,
    user_numbers: HashMap<String, Option<u32>>,
    group_numbers: HashMap<String, Option<u32>>,
}

// A database that cannot be read is as one that does not know: the number is kept beside the name.
impl Names {
    /// The name of a user, where it has one.
    pub fn user(&mut self, uid: u32) -> Option<String> {
        self.users
            .entry(uid)
            .or_insert_with(|| {
                let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
                user.map(|user| user.name)
            })
            .clone()
    }

    /// The name of a group, where it has one.
    pub fn group(&mut self, gid: u32) -> Option<String> {
        self.groups
            .entry(gid)
            .or_insert_with(|| {
                let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
                group.map(|group| group.name)
            })
            .clone()
    }

    /// The number that a user has here: that of the name if it is known, else `uid`.
    pub fn uid(&mut self, name: Option<&str>, uid: u32) -> u32 {
        let Some(name) = name else { return uid };
        if let Some(known) = self.user_numbers.get(name) {
            return known.unwrap_or(uid);
        }
        let user = User::from_name(name).ok().flatten();
        let number = user.map(|user| user.uid.as_raw());
        self.user_numbers.insert(name.to_owned(), number);
        number.unwrap_or(uid)
    }

    /// The number that a group has here: that of the name if it is known, else `gid`.
    pub fn gid(&mut self, name: Option<&str>, gid: u32) -> u32 {
        let Some(name) = name else { return gid };
        if let Some(known) = self.group_numbers.get(name) {
            return known.unwrap_or(gid);
        }
        let group = Group::from_name(name).ok().flatten();
        let number = group.map(|group| group.gid.as_raw());
        self.group_numbers.insert(name.to_owned(), number);
        number.unwrap_or(gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_here_outweighs_the_number_and_a_strange_one_does_not() {
        let mut names = Names::default();
        assert_eq!(names.user(0).as_deref(), Some("root"));
        assert_eq!(names.uid(Some("root"), 77), 0);
        assert_eq!(names.gid(Some("root"), 77), 0);
        assert_eq!(names.uid(Some("no-such-user-here"), 77), 77);
        assert_eq!(names.uid(None, 78), 78);
        assert_eq!(names.user(4_000_000_000), None);
    }
}
