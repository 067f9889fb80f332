//! When a depth update fits a book: `U` of a message is the previous `u` + 1, and the first one after a
//! snapshot may begin before the snapshot's end.

use crate::decoded::DepthUpdate;
use crate::replica::{Misfit, Position};

/// Whether the update continues a book at `position`.
#[inline]
pub(crate) fn admit(position: Position, update: &DepthUpdate<'_>) -> Result<(), Misfit> {
    let last = match position {
        Position::Unknown => return Ok(()),
        Position::Snapshot(id) | Position::Update(id) => id,
    };
    let expected = last.saturating_add(1);
    if update.first_update_id == expected {
        return Ok(());
    }
    if update.last_update_id <= last {
        return Err(Misfit::Old { last });
    }
    match position {
        Position::Snapshot(_) if update.first_update_id <= expected => Ok(()),
        _ => Err(Misfit::Gap { expected }),
    }
}
