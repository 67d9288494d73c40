//! BFCL's file system: a tree of files in memory, and what its calls make of it.
//!
//! It follows BFCL's own class `GorillaFileSystem`, except that `echo` makes a file that is not there, as
//! its ground truth has it and a shell does.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{command::Act, write::template};
use crate::work::hexadecimal;

/// Deepest tree that is read.
const MAX_DEPTH: usize = 32;

/// A file or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    File(String),
    Directory(Contents),
}

type Contents = BTreeMap<String, Node>;

/// A tree of files, and where the conversation is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    /// The root's name.
    name: String,
    root: Contents,
    here: Vec<String>,
}

/// What is in the tree, from the root on: its path below the root, and its content if it is a file.
pub(super) struct Entry<'a> {
    pub(super) path: Vec<&'a str>,
    pub(super) content: Option<&'a str>,
}

impl Files {
    /// Reads the tree that a task begins with: its root.
    ///
    /// # Errors
    ///
    /// What is not in BFCL's format, in words.
    pub(super) fn read(name: &str, root: &Value) -> Result<Self, String> {
        check_name(name)?;
        match read(name, root, 0)? {
            Node::Directory(root) => Ok(Self { name: name.to_owned(), root, here: Vec::new() }),
            Node::File(_) => Err(format!("the root {name:?} is a file")),
        }
    }

    /// Where the conversation is: a path below the root.
    pub(super) fn here(&self) -> &[String] {
        &self.here
    }

    /// The root's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A directory as a path, where the stage's variable stands for the directory above the root.
    pub(super) fn directory(&self, below: &[String]) -> String {
        let mut path = format!("{{{{stage}}}}/files/{}", template(&self.name));
        for name in below {
            path.push('/');
            path.push_str(&template(name));
        }
        path
    }

    /// All that is in the tree, a directory before what is in it.
    pub(super) fn entries(&self) -> Vec<Entry<'_>> {
        let mut entries = Vec::new();
        list(&self.root, &mut Vec::new(), &mut entries);
        entries
    }

    /// What a list of the tree's directories and files has for a digest; see [`super::write`].
    pub(super) fn digest(&self) -> String {
        let mut lines: Vec<String> = vec![format!("d {}", self.name)];
        lines.extend(self.entries().into_iter().map(|Entry { path, content }| {
            let path = format!("{}/{}", self.name, path.join("/"));
            match content {
                None => format!("d {path}"),
                Some(content) => {
                    format!("f {} {path}", hexadecimal(&Sha256::digest(content).into()))
                }
            }
        }));
        lines.sort_unstable();
        hexadecimal(&Sha256::digest(lines.join("\n") + "\n").into())
    }

    /// What a call makes of it.
    ///
    /// # Errors
    ///
    /// Why BFCL's file system refuses it, in words; nothing has changed then.
    pub(super) fn apply(&mut self, act: &Act) -> Result<(), String> {
        match act {
            Act::Pwd | Act::Ls { .. } | Act::Du { .. } | Act::Echo { file: None, .. } => Ok(()),
            Act::Cd { folder } => self.cd(folder),
            Act::Mkdir { name } => self.add(name, Node::Directory(Contents::new())),
            Act::Touch { name } => self.add(name, Node::File(String::new())),
            Act::Echo { content, file: Some(name) } => {
                check_name(name)?;
                match self.contents().get_mut(name) {
                    Some(Node::Directory(_)) => Err(format!("{name} is a directory")),
                    Some(Node::File(old)) => {
                        old.clone_from(content);
                        Ok(())
                    }
                    None => self.add(name, Node::File(content.clone())),
                }
            }
            Act::Find { path, .. } => self.navigate(path).map(drop),
            Act::Cat { file }
            | Act::Wc { file, .. }
            | Act::Sort { file }
            | Act::Grep { file, .. }
            | Act::Tail { file, .. } => self.file(file),
            Act::Diff { files: [one, other] } => self.file(one).and_then(|()| self.file(other)),
            Act::Mv { source, destination } => self.put(source, destination, true),
            Act::Cp { source, destination } => self.put(source, destination, false),
            Act::Rm { name } => {
                let removed = self.contents().remove(name);
                removed.map(drop).ok_or_else(|| format!("there is no {name}"))
            }
            Act::Rmdir { name } => match self.contents().get(name) {
                Some(Node::Directory(inner)) if inner.is_empty() => {
                    self.contents().remove(name);
                    Ok(())
                }
                Some(Node::Directory(_)) => Err(format!("{name} is not empty")),
                _ => Err(format!("{name} is no directory")),
            },
        }
    }

    fn cd(&mut self, folder: &str) -> Result<(), String> {
        let folder = match folder.trim_end_matches('/') {
            "" => "/",
            folder => folder,
        };
        match folder {
            ".." => self.here.pop().map(drop).ok_or_else(|| "this is the root".to_owned()),
            "." => Ok(()),
            "/" => {
                self.here.clear();
                Ok(())
            }
            folder if folder.contains('/') => Err("one level at a time".to_owned()),
            folder => {
                self.here = self.navigate(folder)?;
                Ok(())
            }
        }
    }

    /// The directory at a path, which never leads upwards.
    fn navigate(&self, path: &str) -> Result<Vec<String>, String> {
        let mut way = if path.starts_with('/') { Vec::new() } else { self.here.clone() };
        way.extend(path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned));
        let mut contents = &self.root;
        for name in &way {
            match contents.get(name) {
                Some(Node::Directory(inner)) => contents = inner,
                _ => return Err(format!("there is no directory {path}")),
            }
        }
        Ok(way)
    }

    /// What is in the directory where the conversation is.
    fn contents(&mut self) -> &mut Contents {
        self.here.iter().fold(&mut self.root, |contents, name| match contents.get_mut(name) {
            Some(Node::Directory(inner)) => inner,
            _ => unreachable!("nobody can remove a directory from within"),
        })
    }

    fn file(&mut self, name: &str) -> Result<(), String> {
        match self.contents().get(name) {
            Some(Node::File(_)) => Ok(()),
            Some(Node::Directory(_)) => Err(format!("{name} is a directory")),
            None => Err(format!("there is no {name}")),
        }
    }

    fn add(&mut self, name: &str, node: Node) -> Result<(), String> {
        check_name(name)?;
        if self.contents().contains_key(name) {
            return Err(format!("{name} is there already"));
        }
        self.contents().insert(name.to_owned(), node);
        Ok(())
    }

    /// Copies or moves: into a directory, or under another name.
    fn put(&mut self, source: &str, destination: &str, moves: bool) -> Result<(), String> {
        check_name(destination)?;
        let contents = self.contents();
        let node = contents.get(source).ok_or_else(|| format!("there is no {source}"))?.clone();
        if source == destination {
            return Err(format!("{source} is {destination}"));
        }
        match contents.get_mut(destination) {
            Some(Node::File(_)) => return Err(format!("{destination} is there already")),
            Some(Node::Directory(inner)) if inner.contains_key(source) => {
                return Err(format!("{destination}/{source} is there already"));
            }
            Some(Node::Directory(inner)) => inner.insert(source.to_owned(), node),
            None => contents.insert(destination.to_owned(), node),
        };
        if moves {
            contents.remove(source);
        }
        Ok(())
    }
}

fn list<'a>(contents: &'a Contents, path: &mut Vec<&'a str>, entries: &mut Vec<Entry<'a>>) {
    for (name, node) in contents {
        path.push(name);
        match node {
            Node::File(content) => {
                entries.push(Entry { path: path.clone(), content: Some(content) });
            }
            Node::Directory(inner) => {
                entries.push(Entry { path: path.clone(), content: None });
                list(inner, path, entries);
            }
        }
        path.pop();
    }
}

fn read(name: &str, node: &Value, depth: usize) -> Result<Node, String> {
    if depth > MAX_DEPTH {
        return Err(format!("the tree is more than {MAX_DEPTH} directories deep"));
    }
    match node["type"].as_str() {
        Some("file") => match node["content"].as_str() {
            Some(content) => Ok(Node::File(content.to_owned())),
            None => Err(format!("the file {name:?} has no `content`")),
        },
        Some("directory") => {
            let contents = node["contents"].as_object();
            let contents = contents.ok_or_else(|| format!("{name:?} has no `contents`"))?;
            let read = contents.iter().map(|(name, node)| {
                check_name(name)?;
                Ok((name.clone(), read(name, node, depth + 1)?))
            });
            read.collect::<Result<_, String>>().map(Node::Directory)
        }
        _ => Err(format!("{name:?} is neither a file nor a directory")),
    }
}

/// Whether something can be called so, here and in a directory of Linux's.
fn check_name(name: &str) -> Result<(), String> {
    let is_bad = |it: char| matches!(it, '/' | '\0' | '\n' | '\r');
    if name.is_empty() || name == "." || name == ".." || name.len() > 255 || name.contains(is_bad) {
        return Err(format!("{name:?} cannot be a name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn files() -> Files {
        let root = json!({ "type": "directory", "contents": {
            "a.txt": { "type": "file", "content": "one" },
            "b.txt": { "type": "file", "content": "two" },
            "sub": { "type": "directory", "contents": { "a.txt": { "type": "file", "content": "" } } },
            "empty": { "type": "directory", "contents": {} },
        } });
        Files::read("home", &root).unwrap()
    }

    fn mv(source: &str, destination: &str) -> Act {
        Act::Mv { source: source.to_owned(), destination: destination.to_owned() }
    }

    fn paths(files: &Files) -> Vec<String> {
        files.entries().iter().map(|entry| entry.path.join("/")).collect()
    }

    #[test]
    fn a_move_goes_into_a_directory_or_to_another_name_and_never_over_something() {
        let mut files = files();
        files.apply(&mv("b.txt", "empty")).unwrap();
        files.apply(&mv("empty", "full")).unwrap();
        assert_eq!(paths(&files), ["a.txt", "full", "full/b.txt", "sub", "sub/a.txt"]);
        let before = files.clone();
        for (source, destination) in
            [("a.txt", "sub"), ("c", "d"), ("a.txt", "x/y"), ("sub", "sub")]
        {
            assert!(files.apply(&mv(source, destination)).is_err(), "{source} to {destination}");
        }
        assert_eq!(files, before);
    }

    #[test]
    fn the_way_leads_one_level_at_a_time_and_not_above_the_root() {
        let mut files = files();
        let cd = |folder: &str| Act::Cd { folder: folder.to_owned() };
        assert!(files.apply(&cd("..")).is_err());
        assert!(files.apply(&cd("sub/x")).is_err());
        files.apply(&cd("sub/")).unwrap();
        assert_eq!(files.directory(files.here()), "{{stage}}/files/home/sub");
        assert!(files.apply(&Act::Cat { file: "b.txt".to_owned() }).is_err());
        files.apply(&cd("..")).unwrap();
        files.apply(&Act::Cat { file: "b.txt".to_owned() }).unwrap();
    }

    #[test]
    fn echo_writes_anew_and_makes_what_is_missing() {
        let mut files = files();
        let before = files.digest();
        for file in ["a.txt", "new"] {
            let act = Act::Echo { content: "x".to_owned(), file: Some(file.to_owned()) };
            files.apply(&act).unwrap();
        }
        let all = files.entries();
        let content = |name| all.iter().find(|entry| entry.path == [name]).unwrap().content;
        assert_eq!((content("a.txt"), content("new")), (Some("x"), Some("x")));
        assert_ne!(files.digest(), before);
    }

    #[test]
    fn only_an_empty_directory_goes_by_rmdir() {
        let mut files = files();
        let rmdir = |name: &str| Act::Rmdir { name: name.to_owned() };
        assert!(files.apply(&rmdir("sub")).is_err());
        assert!(files.apply(&rmdir("a.txt")).is_err());
        files.apply(&rmdir("empty")).unwrap();
        files.apply(&Act::Rm { name: "sub".to_owned() }).unwrap();
        assert_eq!(paths(&files), ["a.txt", "b.txt"]);
    }

    #[test]
    fn a_root_that_is_none_is_refused() {
        let holding = |name: &str| json!({ "type": "directory", "contents": { name: { "type": "file", "content": "" } } });
        for root in [
            json!({}),
            json!({ "type": "file", "content": "" }),
            json!({ "type": "link" }),
            json!({ "type": "directory" }),
            holding("a/b"),
            holding(".."),
        ] {
            assert!(Files::read("home", &root).is_err(), "{root}");
        }
    }
}
