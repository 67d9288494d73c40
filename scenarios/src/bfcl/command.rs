//! What the calls of BFCL's file system do, and the commands that do the same to real files.

use super::{
    call::{Bound, Signature},
    files::Files,
    write::template,
};

/// A call of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Pwd,
    Ls { hidden: bool },
    Cd { folder: String },
    Mkdir { name: String },
    Touch { name: String },
    Echo { content: String, file: Option<String> },
    Cat { file: String },
    Find { path: String, name: Option<String> },
    Wc { file: String, mode: char },
    Sort { file: String },
    Grep { file: String, pattern: String },
    Du { human_readable: bool },
    Tail { file: String, lines: i64 },
    Diff { files: [String; 2] },
    Mv { source: String, destination: String },
    Cp { source: String, destination: String },
    Rm { name: String },
    Rmdir { name: String },
}

const SIGNATURES: &[Signature] = &[
    Signature { function: "pwd", required: &[], optional: &[] },
    Signature { function: "ls", required: &[], optional: &["a"] },
    Signature { function: "cd", required: &["folder"], optional: &[] },
    Signature { function: "mkdir", required: &["dir_name"], optional: &[] },
    Signature { function: "touch", required: &["file_name"], optional: &[] },
    Signature { function: "echo", required: &["content"], optional: &["file_name"] },
    Signature { function: "cat", required: &["file_name"], optional: &[] },
    Signature { function: "find", required: &[], optional: &["path", "name"] },
    Signature { function: "wc", required: &["file_name"], optional: &["mode"] },
    Signature { function: "sort", required: &["file_name"], optional: &[] },
    Signature { function: "grep", required: &["file_name", "pattern"], optional: &[] },
    Signature { function: "du", required: &[], optional: &["human_readable"] },
    Signature { function: "tail", required: &["file_name"], optional: &["lines"] },
    Signature { function: "diff", required: &["file_name1", "file_name2"], optional: &[] },
    Signature { function: "mv", required: &["source", "destination"], optional: &[] },
    Signature { function: "cp", required: &["source", "destination"], optional: &[] },
    Signature { function: "rm", required: &["file_name"], optional: &[] },
    Signature { function: "rmdir", required: &["dir_name"], optional: &[] },
];

/// The parameters of a function of the file system; none for one of another class.
pub(super) fn signature(function: &str) -> Option<Signature> {
    SIGNATURES.iter().find(|signature| signature.function == function).copied()
}

impl Act {
    /// Reads a call whose function has a signature.
    ///
    /// # Errors
    ///
    /// Which argument is none, in words.
    pub(super) fn read(call: &Bound) -> Result<Self, String> {
        let text = |name: &str| call.text(name);
        Ok(match call.function {
            "pwd" => Self::Pwd,
            "ls" => Self::Ls { hidden: call.truth("a")? },
            "cd" => Self::Cd { folder: text("folder")? },
            "mkdir" => Self::Mkdir { name: text("dir_name")? },
            "touch" => Self::Touch { name: text("file_name")? },
            "echo" => {
                let file = call.text_if_given("file_name")?.filter(|name| !name.is_empty());
                Self::Echo { content: text("content")?, file }
            }
            "cat" => Self::Cat { file: text("file_name")? },
            "find" => Self::Find {
                path: call.text_if_given("path")?.unwrap_or_else(|| ".".to_owned()),
                name: call.text_if_given("name")?,
            },
            "wc" => Self::Wc {
                file: text("file_name")?,
                mode: match call.text_if_given("mode")?.as_deref() {
                    None | Some("l") => 'l',
                    Some("w") => 'w',
                    // A character, not a byte, as Python counts.
                    Some("c") => 'm',
                    Some(other) => return Err(format!("wc has no mode {other:?}")),
                },
            },
            "sort" => Self::Sort { file: text("file_name")? },
            "grep" => Self::Grep { file: text("file_name")?, pattern: text("pattern")? },
            "du" => Self::Du { human_readable: call.truth("human_readable")? },
            "tail" => Self::Tail { file: text("file_name")?, lines: call.number("lines", 10)? },
            "diff" => Self::Diff { files: [text("file_name1")?, text("file_name2")?] },
            "mv" => Self::Mv { source: text("source")?, destination: text("destination")? },
            "cp" => Self::Cp { source: text("source")?, destination: text("destination")? },
            "rm" => Self::Rm { name: text("file_name")? },
            "rmdir" => Self::Rmdir { name: text("dir_name")? },
            other => unreachable!("{other} has a signature and no act"),
        })
    }

    /// The command that does it where the conversation has come to. Only what BFCL's file system does not
    /// refuse is carried out.
    pub(super) fn command(&self, files: &Files) -> String {
        let act = match self {
            Self::Pwd => "pwd".to_owned(),
            Self::Ls { hidden } => if *hidden { "ls -A" } else { "ls" }.to_owned(),
            Self::Cd { folder } if folder.trim_end_matches('/').is_empty() => {
                return format!("cd {} && pwd", quoted(&files.directory(&[])));
            }
            Self::Cd { folder } => format!("cd -- {} && pwd", word(folder)),
            Self::Mkdir { name } => format!("mkdir -- {}", word(name)),
            Self::Touch { name } => format!("touch -- {}", word(name)),
            Self::Echo { content, file: None } => format!("printf %s {}", word(content)),
            Self::Echo { content, file: Some(file) } => {
                format!("printf %s {} > {}", word(content), word(file))
            }
            Self::Cat { file } => format!("cat -- {}", word(file)),
            Self::Find { path, name } => {
                let path = match path.strip_prefix('/') {
                    None => template(&format!("./{path}")),
                    Some(below) => format!("{}/{}", files.directory(&[]), template(below)),
                };
                match name {
                    None => format!("find {} -mindepth 1", quoted(&path)),
                    Some(name) => {
                        let pattern = word(&format!("*{}*", literally(name)));
                        format!("find {} -mindepth 1 -name {pattern}", quoted(&path))
                    }
                }
            }
            Self::Wc { file, mode } => format!("wc -{mode} -- {}", word(file)),
            Self::Sort { file } => format!("sort -- {}", word(file)),
            Self::Grep { file, pattern } => {
                format!("grep -F -e {} -- {}", word(pattern), word(file))
            }
            Self::Du { human_readable } => {
                if *human_readable { "du -sh" } else { "du -sb" }.to_owned()
            }
            Self::Tail { file, lines } => format!("tail -n {} -- {}", lines.max(&0), word(file)),
            Self::Diff { files: [one, other] } => format!("diff -- {} {}", word(one), word(other)),
            Self::Mv { source, destination } => {
                format!("mv -n -- {} {}", word(source), word(destination))
            }
            Self::Cp { source, destination } => {
                format!("cp -r -n -- {} {}", word(source), word(destination))
            }
            Self::Rm { name } => format!("rm -r -- {}", word(name)),
            Self::Rmdir { name } => format!("rmdir -- {}", word(name)),
        };
        format!("cd {} && {act}", quoted(&files.directory(files.here())))
    }
}

/// A text of BFCL's as a word of the shell's in an organism's file.
fn word(text: &str) -> String {
    quoted(&template(text))
}

/// A word of the shell's.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A name in a pattern that means itself.
fn literally(name: &str) -> String {
    let mut pattern = String::new();
    for character in name.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_with_a_signature_is_an_act() {
        for signature in SIGNATURES {
            let arguments: Vec<_> =
                signature.required.iter().map(|it| format!("{it}='l'")).collect();
            let text = format!("{}({})", signature.function, arguments.join(", "));
            let call = super::super::call::Call::parse(&text).unwrap().bind(*signature).unwrap();
            Act::read(&call).unwrap();
        }
    }

    #[test]
    fn quotes_and_patterns_mean_themselves() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(literally("a*[b]"), r"a\*\[b\]");
    }
}
