//! Something made from weights, such as a packed copy, kept until they change.

use std::sync::{Arc, Mutex, PoisonError};

/// Keeps what was made last, and the version of the weights that it was made from. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Derived<T>(Arc<Mutex<Option<(u64, T)>>>);

impl<T> Default for Derived<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Derived<T> {
    /// What `make` makes from the weights of `version`, made anew only after they were replaced.
    ///
    /// Nothing is locked meanwhile: `make` may share out work, and a thread that waits for its share
    /// may take up another picture, which asks for the same. It is then made twice.
    pub(crate) fn get(&self, version: u64, make: impl FnOnce() -> T) -> T {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_at, made)) = &*lock()
            && *made_at == version
        {
            return made.clone();
        }
        let made = make();
        *lock() = Some((version, made.clone()));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_anew_only_for_another_version() {
        let derived = Derived::default();
        let shared = derived.clone();
        assert_eq!(derived.get(1, || "first"), "first");
        assert_eq!(shared.get(1, || "not made"), "first");
        assert_eq!(derived.get(2, || "second"), "second");
        assert_eq!(shared.get(2, || "not made"), "second");
    }

    #[test]
    fn making_may_ask_for_the_same() {
        let derived = Derived::default();
        assert_eq!(derived.get(1, || derived.get(1, || 7)), 7);
    }
}
