//! Prints the catalogue of evasions as a page.
#![forbid(unsafe_code)]

fn main() {
    print!("{}", tests::evasion::page());
}
