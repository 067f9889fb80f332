//! How many connections are open.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    taken: AtomicUsize,
    turned_away: AtomicU64,
}

/// One of them, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: AtomicUsize::new(0), turned_away: AtomicU64::new(0) }
    }

    /// Nothing if all are taken, which is counted.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let more = |taken| (taken < self.most).then_some(taken + 1);
        match self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Some(Place(Arc::clone(self))),
            Err(_) => {
                self.turned_away.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_given_back_is_taken_again() {
        let places = Arc::new(Places::new(2));
        let first = places.take();
        let _second = places.take().unwrap();
        assert!(places.take().is_none());
        assert_eq!((places.taken(), places.turned_away()), (2, 1));
        drop(first);
        assert_eq!(places.taken(), 1);
        assert!(places.take().is_some());
        assert_eq!(places.turned_away(), 1);
    }
}
