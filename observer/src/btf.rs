//! Reads struct field offsets out of a BTF blob: a pure function, so it is tested without a kernel.
//!
//! The format is Documentation/bpf/btf.rst of Linux 6.18. Only what offsets need is read: the kinds'
//! sizes, to step over them, and the members of structs and unions.

use std::collections::HashMap;

use ebpf_common::offsets::{LOOKUPS, Offsets};

/// Why offsets could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BtfError {
    /// The blob does not begin as BTF does, or its sections lie outside it.
    #[error("the kernel's type information is not BTF of a known version")]
    Header,
    /// A type is of a kind that this reader does not know, so that what follows cannot be read.
    #[error("type {index} is of the unknown BTF kind {kind}")]
    Kind {
        /// Number of the type.
        index: usize,
        /// The kind.
        kind: u32,
    },
    /// The blob ends within a type.
    #[error("the kernel's type information ends within type {index}")]
    Truncated {
        /// Number of the type.
        index: usize,
    },
    /// A field that the probes need is not there.
    #[error("this kernel's `struct {structure}` has no member {}", members.join(" or "))]
    Missing {
        /// The struct.
        structure: &'static str,
        /// The names that were looked for.
        members: &'static [&'static str],
    },
}

const MAGIC: u16 = 0xeb9f;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const FUNCTION: u32 = 12;
/// How deep anonymous members may nest.
const MAX_NESTING: u32 = 16;

struct Member {
    name: u32,
    kind: u32,
    /// Offset in bits.
    offset: u32,
}

struct Type {
    name: u32,
    kind: u32,
    /// The type that a modifier or typedef stands for.
    refers_to: u32,
    /// How many members, values or parameters it has.
    count: usize,
    members: Vec<Member>,
}

/// A parsed BTF blob.
pub struct Btf<'a> {
    types: Vec<Type>,
    strings: &'a [u8],
    structs: HashMap<&'a [u8], usize>,
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?))
}

fn section(blob: &[u8], start: usize, offset: usize, length: usize) -> Option<&[u8]> {
    let start = start.checked_add(offset)?;
    blob.get(start..start.checked_add(length)?)
}

impl<'a> Btf<'a> {
    /// Parses a blob such as `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    ///
    /// When it is not BTF, ends early, or holds a kind that this reader does not know.
    pub fn parse(blob: &'a [u8]) -> Result<Self, BtfError> {
        let header = |offset| word(blob, offset).map(|value| value as usize);
        let magic = blob.get(..2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
        if magic != Some(MAGIC) {
            return Err(BtfError::Header);
        }
        let sections = || {
            let start = header(4)?;
            let types = section(blob, start, header(8)?, header(12)?)?;
            let strings = section(blob, start, header(16)?, header(20)?)?;
            Some((types, strings))
        };
        let (bytes, strings) = sections().ok_or(BtfError::Header)?;
        // Type 0 is void.
        let mut types =
            vec![Type { name: 0, kind: 0, refers_to: 0, count: 0, members: Vec::new() }];
        let mut position = 0;
        while position < bytes.len() {
            let index = types.len();
            let (parsed, next) = parse_type(bytes, position, index)?;
            types.push(parsed);
            position = next;
        }
        let mut parsed = Self { types, strings, structs: HashMap::new() };
        for (index, kind) in parsed.types.iter().enumerate() {
            if kind.kind == STRUCT && kind.name != 0 {
                parsed.structs.entry(text(strings, kind.name)).or_insert(index);
            }
        }
        Ok(parsed)
    }

    /// Offset of a member in bytes, anonymous structs and unions searched through.
    fn member(&self, of: usize, name: &[u8], nesting: u32) -> Option<u32> {
        for member in &self.types.get(of)?.members {
            if member.name != 0 {
                if text(self.strings, member.name) == name {
                    return Some(member.offset / 8);
                }
            } else if nesting < MAX_NESTING
                && let Some(inner) =
                    self.member(self.resolve(member.kind as usize), name, nesting + 1)
            {
                return Some(member.offset / 8 + inner);
            }
        }
        None
    }

    /// The type behind typedefs and modifiers.
    fn resolve(&self, mut index: usize) -> usize {
        for _ in 0..MAX_NESTING {
            match self.types.get(index) {
                // typedef, volatile, const, restrict, type tag
                Some(kind) if matches!(kind.kind, 8 | 9 | 10 | 11 | 18) => {
                    index = kind.refers_to as usize;
                }
                _ => break,
            }
        }
        index
    }

    /// How many arguments a function has, if the kernel has it.
    #[must_use]
    pub fn arguments(&self, name: &str) -> Option<usize> {
        let is_it =
            |it: &&Type| it.kind == FUNCTION && text(self.strings, it.name) == name.as_bytes();
        let function = self.types.iter().find(is_it)?;
        self.types.get(function.refers_to as usize).map(|prototype| prototype.count)
    }

    /// Everything that the probes need.
    ///
    /// # Errors
    ///
    /// When a field is missing.
    pub fn offsets(&self) -> Result<Offsets, BtfError> {
        let mut offsets = Offsets::default();
        for lookup in LOOKUPS {
            let offset = self
                .structs
                .get(lookup.structure.as_bytes())
                .and_then(|&index| {
                    lookup.members.iter().find_map(|name| self.member(index, name.as_bytes(), 0))
                })
                .ok_or(BtfError::Missing {
                    structure: lookup.structure,
                    members: lookup.members,
                })?;
            (lookup.store)(&mut offsets, offset);
        }
        Ok(offsets)
    }
}

fn text(strings: &[u8], offset: u32) -> &[u8] {
    let rest = strings.get(offset as usize..).unwrap_or_default();
    rest.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Parses the type at `position` and gives where the next one begins.
fn parse_type(bytes: &[u8], position: usize, index: usize) -> Result<(Type, usize), BtfError> {
    let truncated = BtfError::Truncated { index };
    let read = |offset| word(bytes, position + offset).ok_or(BtfError::Truncated { index });
    let (name, info, refers_to) = (read(0)?, read(4)?, read(8)?);
    let kind = (info >> 24) & 0x1f;
    let count = (info & 0xffff) as usize;
    let bitfields = info >> 31 == 1;
    let behind = match kind {
        // pointer, forward, typedef, volatile, const, restrict, function, float, type tag
        2 | 7 | 8 | 9 | 10 | 11 | 12 | 16 | 18 => 0,
        // integer, variable, declaration tag
        1 | 14 | 17 => 4,
        // array
        3 => 12,
        // struct, union, section, 64-bit enum
        STRUCT | UNION | 15 | 19 => 12 * count,
        // enum, function prototype
        6 | 13 => 8 * count,
        _ => return Err(BtfError::Kind { index, kind }),
    };
    let mut members = Vec::new();
    if kind == STRUCT || kind == UNION {
        members.reserve_exact(count);
        for member in 0..count {
            let offset = read(12 + 12 * member + 8)?;
            members.push(Member {
                name: read(12 + 12 * member)?,
                kind: read(12 + 12 * member + 4)?,
                // With bit fields the upper byte is a size.
                offset: if bitfields { offset & 0x00ff_ffff } else { offset },
            });
        }
    }
    let next = position + 12 + behind;
    if next > bytes.len() {
        return Err(truncated);
    }
    Ok((Type { name, kind, refers_to, count, members }, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A blob of one struct, `outer { int first; union { long inner; }; }`, offsets 0 and 64 bits.
    fn blob() -> Vec<u8> {
        let strings = b"\0outer\0first\0inner\0";
        let mut types: Vec<u32> = Vec::new();
        types.extend([0, (UNION << 24) | 1, 8, 13, 0, 0]); // type 1: union { inner }
        types.extend([0, 9 << 24, 1]); // type 2: volatile type 1
        types.extend([1, (STRUCT << 24) | 2, 16, 7, 0, 0, 0, 2, 64]); // type 3: outer
        let mut blob = Vec::new();
        blob.extend(MAGIC.to_le_bytes());
        blob.extend([1, 0]);
        let words = [24, 0, types.len() as u32 * 4, types.len() as u32 * 4, strings.len() as u32];
        blob.extend(words.iter().flat_map(|word: &u32| word.to_le_bytes()));
        blob.extend(types.iter().flat_map(|word| word.to_le_bytes()));
        blob.extend(strings);
        blob
    }

    #[test]
    fn a_member_of_an_anonymous_union_is_found_through_modifiers() {
        let blob = blob();
        let btf = Btf::parse(&blob).unwrap();
        let outer = btf.structs[&b"outer"[..]];
        assert_eq!(btf.member(outer, b"first", 0), Some(0));
        assert_eq!(btf.member(outer, b"inner", 0), Some(8));
        assert_eq!(btf.member(outer, b"absent", 0), None);
    }

    #[test]
    fn every_prefix_of_a_blob_is_refused_or_parsed_without_a_panic() {
        let blob = blob();
        for end in 0..blob.len() {
            let _ = Btf::parse(&blob[..end]).map(|btf| btf.offsets());
        }
        assert_eq!(Btf::parse(b"not BTF").err(), Some(BtfError::Header));
    }

    #[test]
    fn a_missing_field_is_named() {
        let blob = blob();
        let error = Btf::parse(&blob).unwrap().offsets().unwrap_err();
        assert_eq!(error.to_string(), "this kernel's `struct dentry` has no member d_inode");
    }
}
