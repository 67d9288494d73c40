//! The programs that decide on addresses. They stand beside either set, on the cgroup that holds all runs:
//! nobody outside meets them.

use std::{fs::File, path::Path};

use aya::programs::{CgroupAttachMode, CgroupSockAddr, ProgramError, links::FdLink};

use super::{Attached, LoadError, Probes, program, refused};

/// Those for IPv4 and those for IPv6.
const PROGRAMS: [&str; 6] = ["connect4", "connect6", "bind4", "bind6", "sendmsg4", "sendmsg6"];

impl Probes {
    /// Loads the programs that decide on addresses.
    pub(super) fn load_addresses(&mut self) -> Result<(), LoadError> {
        for name in PROGRAMS {
            <&mut CgroupSockAddr>::try_from(program(&mut self.object, name))
                .and_then(CgroupSockAddr::load)
                .map_err(refused(name))?;
        }
        Ok(())
    }

    /// Attaches them to the cgroup that holds all runs.
    ///
    /// # Errors
    ///
    /// When the cgroup cannot be opened or the kernel refuses.
    pub fn attach_addresses(&mut self, cgroups: &Path) -> Result<(), LoadError> {
        let cgroup = File::open(cgroups)
            .map_err(|source| LoadError::Cgroup { path: cgroups.display().to_string(), source })?;
        for name in PROGRAMS {
            let link = self.attach_address(name, &cgroup).map_err(refused(name))?;
            self.addresses.push(Attached::Held(link));
        }
        Ok(())
    }

    fn attach_address(&mut self, name: &str, cgroup: &File) -> Result<FdLink, ProgramError> {
        let program: &mut CgroupSockAddr = program(&mut self.object, name).try_into()?;
        // A link lets others stand beside it without being told to, and takes no flags
        // (`cgroup_bpf_link_attach`, kernel/bpf/cgroup.c, Linux 6.1).
        let link = program.attach(cgroup, CgroupAttachMode::Single)?;
        let link = program.take_link(link)?;
        Ok(link.try_into().expect("since Linux 5.7 every such link is a descriptor"))
    }
}
