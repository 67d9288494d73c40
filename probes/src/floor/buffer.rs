//! A record with strings under construction, and the walk that fills them.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user_str};
use ebpf_common::{
    Record,
    record::{MAX_STRING_BYTES, string},
};

use crate::{
    globals::{LAST_START, MAX_DEPTH, NAME_BYTES, STRING_SPACE},
    kernel::{self, Address, Memory},
    maps::offset,
};

/// A record with strings under construction.
#[repr(C)]
pub(crate) struct Buffer {
    /// 1 while the record waits for its syscall's outcome.
    pub pending: u32,
    /// Bytes used of `strings`.
    pub used: u32,
    pub record: Record,
    strings: [u8; STRING_SPACE],
}

impl Buffer {
    /// Appends the path of a dentry, last component first, as string `index`; gives its device.
    #[inline(never)]
    pub(crate) fn path<M: Memory>(&mut self, start: Address, index: usize) -> u32 {
        let begin = self.used;
        let mut dentry = start;
        for _ in 0..MAX_DEPTH {
            let parent = M::u64(dentry, offset!(dentry_parent));
            if parent == dentry || parent == 0 {
                break;
            }
            let used = self.used as usize;
            if used <= LAST_START {
                let name = M::u64(dentry, offset!(dentry_name) + offset!(qstr_name));
                // SAFETY: `used` leaves room for the name; the helper checks the address.
                let read = unsafe {
                    bpf_probe_read_kernel_str(
                        (&raw mut self.strings).cast::<u8>().add(used).cast(),
                        NAME_BYTES as u32,
                        name as *const _,
                    )
                };
                if read > 0 && read <= NAME_BYTES as i64 {
                    self.used = used as u32 + read as u32;
                }
            }
            dentry = parent;
        }
        self.record.string_bytes[index & 3] = self.used.wrapping_sub(begin) as u16;
        let superblock = M::u64(start, offset!(dentry_superblock));
        M::u32(superblock, offset!(superblock_device))
    }

    /// Appends what the current task's program was given.
    #[inline(always)]
    pub(crate) fn arguments(&mut self) {
        let used = self.used as usize;
        if used > LAST_START {
            return;
        }
        // SAFETY: `used` leaves room for the bytes.
        let to = unsafe { (&raw mut self.strings).cast::<u8>().add(used) };
        let (read, all) = kernel::arguments(to);
        self.record.args[0] = all;
        self.used = (used as u64 + read) as u32;
        self.record.string_bytes[string::ARGV] = read as u16;
    }

    /// Puts a string of the caller's memory first, as string 0.
    #[inline(always)]
    pub(crate) fn user_path(&mut self, address: u64) {
        // SAFETY: the string fits; the helper checks the address.
        let read = unsafe {
            bpf_probe_read_user_str(
                (&raw mut self.strings).cast(),
                MAX_STRING_BYTES as u32,
                address as *const _,
            )
        };
        if read > 0 && read <= MAX_STRING_BYTES as i64 {
            self.used = read as u32;
            self.record.string_bytes[0] = read as u16;
        }
    }
}
