//! The page of a stream: its figures, and its pictures below them.

use tickstorm_market::portrait::Picture;
use tickstorm_market::realism::RealismTable;
use tickstorm_market::{Listing, Message, Snapshot};
use tickstorm_report::plot::{Mark, Page};

use super::follow::{Follower, Part};
use super::{CheckOptions, StreamExpectation};
use crate::{Plan, portrait};

/// Looks at a stream that is being made.
///
/// ```
/// use tickstorm::check::Sketch;
/// use tickstorm::{Export, ExportFormat, Plan, Spec, Target};
///
/// let plan = Plan::new(&Spec::default(), &Target::default())?;
/// let mut export = Export::new(&plan, ExportFormat::Csv);
/// let mut sketch = Sketch::new(&plan, &export.snapshots());
/// let mut stream = Vec::new();
/// for _ in 0..1_000 {
///     sketch.observe(&export.next_message(&mut stream).expect("the plan has 60,000"));
/// }
/// let page = sketch.page("An ordinary market", "");
/// assert!(page.table.is_some());
/// # Ok::<(), tickstorm::PlanErrors>(())
/// ```
pub struct Sketch {
    follower: Follower,
    listing: Listing,
}

impl std::fmt::Debug for Sketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sketch").finish_non_exhaustive()
    }
}

impl Sketch {
    /// Starts at the books before the first message.
    pub fn new(plan: &Plan, books: &[Snapshot]) -> Self {
        let listing = plan.market().listing.clone();
        let expectation = Some(StreamExpectation::of_plan(plan));
        let options = CheckOptions { expectation, pictures: true, ..CheckOptions::default() };
        Self { follower: Follower::new(&listing, books, plan.start_unix_ns(), &options), listing }
    }

    /// Takes the next message.
    pub fn observe(&mut self, message: &Message) {
        self.follower.observe(message, Part::First);
    }

    /// Arranges what was seen.
    pub fn page(self, title: &str, subtitle: &str) -> Page {
        let measured = self.follower.finish(&[]);
        let picture = measured.picture.expect("pictures were asked for");
        page([title, subtitle], &picture, &self.listing, &measured.realism, measured.bands_judged)
    }
}

/// The figures are marked as good or bad only if they are judged.
pub(super) fn page(
    [title, subtitle]: [&str; 2],
    picture: &Picture,
    listing: &Listing,
    realism: &RealismTable,
    bands_judged: bool,
) -> Page {
    let mut table = portrait::realism_rows(realism);
    if !bands_judged {
        table.rows.iter_mut().for_each(|row| row.mark = Mark::Unknown);
    }
    Page { table: Some(table), ..portrait::page(title, subtitle, picture, listing) }
}
