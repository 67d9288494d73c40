//! A map with one value for each task. aya-ebpf 0.2 has no type for it.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, bpf_map_type, task_struct},
    helpers::generated::bpf_task_storage_get,
};

use crate::kernel;

/// A value for each task, freed with the task.
#[repr(C)]
pub(crate) struct TaskStorage<T> {
    r#type: *const [i32; bpf_map_type::BPF_MAP_TYPE_TASK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; BPF_F_NO_PREALLOC as usize],
}

// SAFETY: the fields describe the map to the loader; nothing reads through them.
unsafe impl<T> Sync for TaskStorage<T> {}

impl<T> TaskStorage<T> {
    pub(crate) const fn new() -> Self {
        Self {
            r#type: core::ptr::null(),
            key: core::ptr::null(),
            value: core::ptr::null(),
            max_entries: core::ptr::null(),
            map_flags: core::ptr::null(),
        }
    }

    /// The current task's value. `flags`: 0, or `BPF_LOCAL_STORAGE_GET_F_CREATE`.
    ///
    /// # Safety
    ///
    /// `T` is plain data, valid as zeros, and only the task's own programs use the value.
    #[inline(always)]
    pub(crate) unsafe fn current(&'static self, flags: u64) -> Option<&'static mut T> {
        let task: *mut task_struct = kernel::current();
        // SAFETY: the map is task storage and the task is the current one, as the helper asks; the
        // value lives as long as the task.
        unsafe {
            bpf_task_storage_get(
                (&raw const *self).cast_mut().cast(),
                task,
                core::ptr::null_mut(),
                flags,
            )
            .cast::<T>()
            .as_mut()
        }
    }
}
