fn main() {
    let only = match std::env::args().nth(1).as_deref() {
        Some("lsm") => Some(journal::manifest::ProbeSet::Lsm),
        Some("tp") => Some(journal::manifest::ProbeSet::Tracepoint),
        _ => None,
    };
    println!("{:?}", observer::probes::kernel_offsets());
    match observer::probes::Probes::load(2, only) {
        Ok(p) => {
            println!("loaded {:?} because {:?}; misses {}", p.set, p.reason, p.recursion_misses());
            for (n, pr) in p.object.programs() {
                if let Ok(i) = pr.info() {
                    println!("{n}: {:?} insns verified", i.verified_instruction_count());
                }
            }
        }
        Err(e) => {
            let mut s: &dyn std::error::Error = &e;
            println!("ERR {s}");
            while let Some(c) = s.source() {
                s = c;
                let t = s.to_string();
                println!(" caused by: {}", &t[t.len().saturating_sub(3000)..]);
            }
        }
    }
}
