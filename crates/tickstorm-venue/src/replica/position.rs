//! How far a book has followed its updates, and whether the next one continues it.

use crate::decoded::Continuity;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// Nothing heard yet.
    Unknown,
    /// Whole, but the number that the next message continues is not known.
    Unnumbered,
    /// At a snapshot with this number.
    Snapshot(u64),
    /// At an update with this number.
    Update(u64),
}

/// Why an update does not continue a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Updates between the book and this one are missing.
    Gap { expected: u64, found: u64 },
    /// The book is past this update.
    Old { last: u64, found: u64 },
}

impl Position {
    pub(super) fn after(continuity: Continuity) -> Self {
        match continuity {
            Continuity::None => Position::Unnumbered,
            Continuity::Range { last, .. } => Position::Update(last),
            Continuity::Chain { id, .. } => Position::Update(id),
            Continuity::Count(number) => Position::Update(number),
        }
    }

    /// Whether an update continues a book at this position.
    #[inline]
    pub(super) fn admit(self, continuity: Continuity) -> Result<(), Misfit> {
        let (Position::Snapshot(last) | Position::Update(last)) = self else { return Ok(()) };
        let next = last.saturating_add(1);
        match continuity {
            Continuity::None => Ok(()),
            // The first update after a snapshot may begin before the snapshot's end.
            Continuity::Range { first, last: end } => match self {
                _ if first == next => Ok(()),
                _ if end <= last => Err(Misfit::Old { last, found: end }),
                Position::Snapshot(_) if first <= next => Ok(()),
                _ => Err(Misfit::Gap { expected: next, found: first }),
            },
            // A state may have a smaller number than the one before, after maintenance.
            Continuity::Chain { previous: Some(previous), .. } if previous == last => Ok(()),
            Continuity::Chain { id, .. } if id <= last => Err(Misfit::Old { last, found: id }),
            Continuity::Chain { previous, id } => {
                Err(Misfit::Gap { expected: last, found: previous.unwrap_or(id) })
            }
            Continuity::Count(number) if number == next => Ok(()),
            Continuity::Count(number) if number <= last => Err(Misfit::Old { last, found: number }),
            Continuity::Count(number) => Err(Misfit::Gap { expected: next, found: number }),
        }
    }
}
