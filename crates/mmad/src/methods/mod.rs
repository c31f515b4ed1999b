//! The methods, one folder or file and one line each.

pub mod destseg;
pub mod mmad;
pub mod rd4ad;
pub mod simplenet;
pub mod uniad;

use crate::method::MethodEntry;

/// Every method, in the order of `mmad methods`.
pub static METHODS: &[MethodEntry] =
    &[mmad::ENTRY, rd4ad::ENTRY, simplenet::ENTRY, destseg::ENTRY, uniad::ENTRY];

/// The method called `id`.
pub fn find(id: &str) -> Option<&'static MethodEntry> {
    METHODS.iter().find(|entry| entry.id == id)
}
