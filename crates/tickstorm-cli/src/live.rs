//! The live view: what a person sees on a terminal while a run is under way. A pure function from a snapshot to a few
//! rows of cells; `Screen` puts them on the terminal.

mod screen;

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{LineGauge, Sparkline, Widget},
};
use tickstorm::{ClientFigures, Phase, Snapshot};
use tickstorm_report::{Place, format};

pub(crate) use screen::Screen;

/// All that the view shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// What is run against what, in one line.
    pub(crate) title: &'a str,
    pub(crate) role: Role,
    pub(crate) stage: Stage,
    /// `None` until the run has begun.
    pub(crate) snapshot: Option<&'a Snapshot>,
    /// The error rate above which the run fails.
    pub(crate) error_threshold: f64,
    pub(crate) palette: Palette,
}

/// What tickstorm is in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It sends to a target.
    Client,
    /// It serves clients.
    Exchange,
}

/// What the run is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Connecting,
    Running,
    /// After the first Ctrl-C.
    Stopping,
    /// After the second.
    Aborting,
}

impl Stage {
    /// What to tell somebody who interrupted the run.
    pub(crate) fn hint(self, role: Role) -> Option<&'static str> {
        match (self, role) {
            (Self::Connecting | Self::Running, _) => None,
            (Self::Stopping, Role::Client) => {
                Some("stopping: awaiting the last replies, Ctrl-C again to report at once")
            }
            (Self::Stopping, Role::Exchange) => {
                Some("stopping: watching the clients come to rest, Ctrl-C again to report at once")
            }
            (Self::Aborting, _) => Some("stopping at once"),
        }
    }
}

/// Whether colours help. Everything can be read without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Palette {
    Color,
    Plain,
}

impl View<'_> {
    /// Draws the view for a terminal of this many columns; it takes as many rows as it needs.
    pub(crate) fn draw(&self, columns: u16) -> Buffer {
        let rows = match self.snapshot {
            Some(_) => metric_rows(columns) + FIXED_ROWS,
            None => 2,
        };
        let mut buffer = Buffer::empty(Rect::new(0, 0, columns, rows));
        self.render(buffer.area, &mut buffer);
        buffer
    }

    fn color(&self, color: Color) -> Style {
        match self.palette {
            Palette::Color => Style::new().fg(color),
            Palette::Plain => Style::new(),
        }
    }

    fn hint(&self) -> Line<'static> {
        if let (Stage::Running, Some(snapshot)) = (self.stage, self.snapshot)
            && let Some(trouble) = self.trouble(snapshot)
        {
            return Line::styled(format!("! {trouble}"), self.color(Color::Red));
        }
        let hint = match self.stage {
            Stage::Connecting => "connecting ...",
            stage => stage.hint(self.role).unwrap_or("Ctrl-C stops the run and reports"),
        };
        Line::styled(hint, Style::new().add_modifier(Modifier::DIM))
    }

    /// What somebody who looks at the run should know at once.
    fn trouble(&self, snapshot: &Snapshot) -> Option<String> {
        match self.role {
            Role::Client => (snapshot.connections_up < snapshot.connections)
                .then(|| format!("{} of {} connections up", snapshot.connections_up, snapshot.connections)),
            Role::Exchange if snapshot.clients.is_empty() => Some("no client is connected".to_owned()),
            Role::Exchange => {
                let worst = worst(&snapshot.clients)?;
                let place = worst.place?;
                Some(format!(
                    "client {} ({}) is at least {} behind, {}",
                    worst.number,
                    worst.venue,
                    format::duration_ms(worst.age_ns as f64 / 1e6),
                    whereabouts(place),
                ))
            }
        }
    }

    fn progress(&self, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) {
        let (elapsed, duration) = (snapshot.elapsed.as_secs_f64(), snapshot.duration.as_secs_f64());
        let ratio = if duration > 0.0 { (elapsed / duration).clamp(0.0, 1.0) } else { 1.0 };
        let left = clock((duration - elapsed).max(0.0).ceil());
        let label = match snapshot.phase {
            Phase::Starting => "starting".to_owned(),
            Phase::WarmUp => "warm-up".to_owned(),
            Phase::Measured if area.width >= 60 => {
                format!("{:3.0} %  {} of {}, {left} left", ratio * 100.0, clock(elapsed), clock(duration))
            }
            Phase::Measured => format!("{:3.0} %, {left} left", ratio * 100.0),
            Phase::Draining if self.role == Role::Exchange => "watching the clients come to rest".to_owned(),
            Phase::Draining => format!("awaiting {} replies", format::count(snapshot.in_flight)),
            Phase::Finished => "done".to_owned(),
        };
        LineGauge::default()
            .ratio(ratio)
            .label(label)
            .filled_symbol("█")
            .unfilled_symbol("░")
            .filled_style(self.color(Color::Cyan))
            .render(area, buffer);
    }

    fn metrics(&self, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) {
        let columns = metric_columns(area.width);
        let rows = area.height;
        let gaps = (columns - 1) * GAP;
        let cell_width = (area.width.saturating_sub(gaps) / columns).min(MAX_CELL);
        for (index, metric) in (0..).zip(self.metric_list(snapshot)) {
            let (column, row) = (index / rows, index % rows);
            let cell = Rect::new(area.x + column * (cell_width + GAP), area.y + row, cell_width, 1);
            metric.render(cell.intersection(area), buffer);
        }
    }

    fn metric_list(&self, snapshot: &Snapshot) -> [Metric; METRICS] {
        let metric = |label, short, value| Metric {
            label,
            short,
            value,
            style: Style::new().add_modifier(Modifier::BOLD),
        };
        let latency = |value_ns: f64| match snapshot.latency.count {
            0 => "-".to_owned(),
            _ => format::duration_ms(value_ns / 1e6),
        };
        let errors = match snapshot.error_rate > self.error_threshold {
            false => metric("errors", "errors", format::percent(snapshot.error_rate)),
            true => Metric {
                label: "errors",
                short: "errors",
                value: format!("! {}", format::percent(snapshot.error_rate)),
                style: self.color(Color::Red).add_modifier(Modifier::BOLD),
            },
        };
        let [memory, cpu] = [
            metric("memory", "memory", format::bytes(snapshot.memory_bytes)),
            metric("cpu", "cpu", format!("{:.0} %", snapshot.cpu_percent)),
        ];
        if self.role == Role::Exchange {
            let age = match worst(&snapshot.clients) {
                Some(worst) => format::duration_ms(worst.age_ns as f64 / 1e6),
                None => "-".to_owned(),
            };
            return [
                metric("market", "market", format::rate(snapshot.offered_rate)),
                metric("delivered", "done", format::rate(snapshot.processed_rate)),
                metric("clients", "clients", format::count(snapshot.clients.len() as u64)),
                metric("mean lag", "mean", latency(snapshot.latency.mean_ns)),
                metric("p99 lag", "p99", latency(snapshot.latency.p99_ns as f64)),
                errors,
                metric("oldest waiting", "oldest", age),
                memory,
                cpu,
            ];
        }
        [
            metric("offered", "due", format::rate(snapshot.offered_rate)),
            metric("achieved", "sent", format::rate(snapshot.achieved_rate)),
            metric("processed", "done", format::rate(snapshot.processed_rate)),
            metric("mean latency", "mean", latency(snapshot.latency.mean_ns)),
            metric("p99 latency", "p99", latency(snapshot.latency.p99_ns as f64)),
            errors,
            metric("active", "active", format::count(snapshot.in_flight)),
            memory,
            cpu,
        ]
    }

    fn throughput(&self, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) {
        let values: Vec<Option<u64>> = snapshot.seconds.iter().map(|point| Some(point.processed)).collect();
        let note = format!("peak {}", format::rate(snapshot.peak_throughput as f64));
        let label = if self.role == Role::Exchange { "delivered" } else { "throughput" };
        self.graph(label, &values, &note, Color::Cyan, area, buffer);
    }

    fn latency(&self, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) {
        let values: Vec<Option<u64>> = snapshot.seconds.iter().map(|point| point.p99_ns).collect();
        let now = values.iter().rev().find_map(|value| *value);
        let note =
            now.map_or(String::new(), |now_ns| format!("now {}", format::duration_ms(now_ns as f64 / 1e6)));
        let label = if self.role == Role::Exchange { "p99 lag" } else { "p99" };
        self.graph(label, &values, &note, Color::Magenta, area, buffer);
    }

    /// The last seconds of something as one row of bars, the newest at the right.
    fn graph(
        &self,
        label: &str,
        values: &[Option<u64>],
        note: &str,
        color: Color,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let note_width = if area.width >= 60 { NOTE_WIDTH } else { 0 };
        let [label_area, bars, note_area] =
            Layout::horizontal([Constraint::Length(11), Constraint::Min(1), Constraint::Length(note_width)])
                .areas(area);
        Line::styled(label, Style::new().add_modifier(Modifier::DIM)).render(label_area, buffer);
        let seen = &values[values.len().saturating_sub(bars.width.into())..];
        Sparkline::default()
            .data(seen)
            .style(self.color(color))
            .absent_value_symbol(" ")
            .render(bars, buffer);
        Line::raw(note).right_aligned().render(note_area, buffer);
    }
}

impl Widget for &View<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let heading = Line::styled(self.title, Style::new().add_modifier(Modifier::BOLD));
        let Some(snapshot) = self.snapshot else {
            let [title, hint] = Layout::vertical([Constraint::Length(1); 2]).areas(area);
            heading.render(title, buffer);
            return self.hint().render(hint, buffer);
        };
        let metrics = Constraint::Length(metric_rows(area.width));
        let row = Constraint::Length(1);
        let [title, progress, metrics, throughput, latency, hint] =
            Layout::vertical([row, row, metrics, row, row, row]).areas(area);
        heading.render(title, buffer);
        self.progress(snapshot, progress, buffer);
        self.metrics(snapshot, metrics, buffer);
        self.throughput(snapshot, throughput, buffer);
        self.latency(snapshot, latency, buffer);
        self.hint().render(hint, buffer);
    }
}

/// A figure with its name.
struct Metric {
    label: &'static str,
    /// For a cell in which the whole name has no room.
    short: &'static str,
    value: String,
    style: Style,
}

impl Widget for Metric {
    /// The name at the left, the figure at the right, which wins where both have no room.
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let fits = self.label.len() + 1 + self.value.len() <= area.width.into();
        let label = if fits { self.label } else { self.short };
        Line::styled(label, Style::new().add_modifier(Modifier::DIM)).render(area, buffer);
        let value = Span::styled(format!(" {}", self.value), self.style);
        Line::from(value).right_aligned().render(area, buffer);
    }
}

/// Who is furthest behind.
pub(crate) fn worst(clients: &[ClientFigures]) -> Option<&ClientFigures> {
    clients.iter().max_by_key(|client| client.age_ns)
}

/// Where a client's backlog waits, in few words.
pub(crate) const fn whereabouts(place: Place) -> &'static str {
    match place {
        Place::OurQueue => "in tickstorm's queue",
        Place::OurKernel => "on its way",
        Place::ClientKernel => "in its receive buffer",
        Place::ClientReader => "in its socket reader",
        Place::ClientProcess => "in its process",
    }
}

/// A time of day without the day: `0:07`, `12:30`, `1:02:03`.
pub(crate) fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

const METRICS: usize = 9;
/// Title, progress, two graphs, hint.
const FIXED_ROWS: u16 = 5;
const GAP: u16 = 3;
/// Wider, the eye loses the line between name and figure.
const MAX_CELL: u16 = 26;
/// `peak 1,234,567/s` and a space.
const NOTE_WIDTH: u16 = 17;

fn metric_rows(width: u16) -> u16 {
    (METRICS as u16).div_ceil(metric_columns(width))
}

fn metric_columns(width: u16) -> u16 {
    match width {
        72.. => 3,
        // `done 10,000,000/s` twice.
        37.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tickstorm::{LatencyFigures, SecondPoint, Venue};

    use super::*;

    #[test]
    fn a_wide_terminal_shows_everything_at_a_glance() {
        insta::assert_snapshot!(text(&view(Some(&healthy())), 99));
    }

    #[test]
    fn the_classic_terminal_has_room_for_three_columns() {
        insta::assert_snapshot!(text(&view(Some(&healthy())), 79));
    }

    #[test]
    fn a_terminal_of_forty_columns_is_readable() {
        insta::assert_snapshot!(text(&view(Some(&healthy())), 39));
        insta::assert_snapshot!("forty_columns_large_figures", text(&view(Some(&large())), 39));
    }

    #[test]
    fn a_failing_run_is_marked_without_colour_too() {
        insta::assert_snapshot!(text(&view(Some(&failing())), 79));
    }

    #[test]
    fn before_the_run_it_says_what_it_waits_for() {
        insta::assert_snapshot!(text(&View { stage: Stage::Connecting, ..view(None) }, 79));
    }

    #[test]
    fn each_phase_is_named() {
        let frames: Vec<String> = [
            (Phase::Starting, Stage::Running),
            (Phase::WarmUp, Stage::Running),
            (Phase::Draining, Stage::Running),
            (Phase::Draining, Stage::Stopping),
            (Phase::Finished, Stage::Aborting),
        ]
        .into_iter()
        .map(|(phase, stage)| {
            let snapshot = Snapshot { phase, ..healthy() };
            let frame = text(&View { stage, ..view(Some(&snapshot)) }, 79);
            let lines: Vec<&str> = frame.lines().collect();
            format!("{}\n{}\n", lines[1], lines[lines.len() - 1])
        })
        .collect();
        insta::assert_snapshot!(frames.concat());
    }

    #[test]
    fn nothing_measured_yet_is_no_latency_of_zero() {
        let snapshot = Snapshot {
            latency: LatencyFigures::default(),
            seconds: Vec::new(),
            elapsed: Duration::ZERO,
            ..healthy()
        };
        insta::assert_snapshot!(text(&view(Some(&snapshot)), 79));
    }

    #[test]
    fn colours_appear_only_where_wanted() {
        let snapshot = failing();
        for (palette, colored) in [(Palette::Color, true), (Palette::Plain, false)] {
            let picture = View { palette, ..view(Some(&snapshot)) }.draw(79);
            assert_eq!(picture.content.iter().any(|cell| cell.fg != Color::Reset), colored, "{palette:?}");
        }
    }

    #[test]
    fn no_size_of_terminal_is_too_small() {
        let snapshot = healthy();
        for columns in 1..=130 {
            for snapshot in [None, Some(&snapshot)] {
                let picture = view(snapshot).draw(columns);
                assert_eq!(picture.area.width, columns);
            }
        }
    }

    #[test]
    fn clocks_read_like_clocks() {
        assert_eq!([0.0, 7.9, 750.0, 3723.0, -1.0].map(clock), ["0:00", "0:07", "12:30", "1:02:03", "0:00"]);
    }

    fn view(snapshot: Option<&Snapshot>) -> View<'_> {
        View {
            title: "tickstorm  NORMAL x10 for 60 s at builtin",
            role: Role::Client,
            stage: Stage::Running,
            snapshot,
            error_threshold: 0.01,
            palette: Palette::Color,
        }
    }

    fn text(view: &View<'_>, columns: u16) -> String {
        let picture = view.draw(columns);
        let rows = picture.content.chunks(columns.into());
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned() + "\n")
            .collect()
    }

    fn healthy() -> Snapshot {
        Snapshot {
            phase: Phase::Measured,
            elapsed: Duration::from_millis(28_200),
            duration: Duration::from_secs(60),
            planned: 60_000,
            due: 28_200,
            sent: 28_200,
            processed: 28_197,
            failed: 0,
            dropped: 0,
            messages_failed: 0,
            in_flight: 3,
            error_rate: 0.0,
            offered_rate: 1_000.0,
            achieved_rate: 1_000.0,
            processed_rate: 998.0,
            peak_throughput: 1_012,
            latency: LatencyFigures {
                count: 28_197,
                mean_ns: 412_300.0,
                p50_ns: 401_000,
                p90_ns: 610_000,
                p95_ns: 702_000,
                p99_ns: 1_201_000,
                max_ns: 3_104_000,
            },
            recent_latency: LatencyFigures::default(),
            memory_bytes: 24_400_000,
            cpu_percent: 12.3,
            connections: 1,
            connections_up: 1,
            seconds: (0..28)
                .map(|second| SecondPoint {
                    second,
                    processed: 900 + second * 37 % 113,
                    p99_ns: (second != 9).then_some(800_000 + second * 7_919_000 % 1_300_000),
                })
                .collect(),
            timeline: Vec::new().into(),
            clients: Arc::default(),
        }
    }

    /// Of an exchange with two clients, one of which is slow.
    fn served() -> Snapshot {
        let client = |number, venue, age_ns, place| ClientFigures { number, venue, age_ns, place };
        Snapshot {
            sent: 56_400,
            processed: 56_400,
            in_flight: 0,
            achieved_rate: 2_000.0,
            processed_rate: 2_000.0,
            clients: Arc::new([
                client(1, Venue::Binance, 400_000, None),
                client(2, Venue::Kraken, 1_340_000_000, Some(Place::ClientKernel)),
            ]),
            ..healthy()
        }
    }

    fn exchange(snapshot: &Snapshot) -> View<'_> {
        let title = "tickstorm  SPIKE x100 for 60 s to clients of 127.0.0.1:9443";
        View { title, role: Role::Exchange, ..view(Some(snapshot)) }
    }

    #[test]
    fn an_exchange_shows_its_clients_and_who_is_furthest_behind() {
        insta::assert_snapshot!(text(&exchange(&served()), 99));
        insta::assert_snapshot!("an_exchange_at_forty_columns", text(&exchange(&served()), 39));
        let in_time = Snapshot { clients: served().clients[..1].into(), ..served() };
        insta::assert_snapshot!("an_exchange_whose_clients_keep_up", text(&exchange(&in_time), 79));
        let alone = Snapshot { clients: Arc::default(), phase: Phase::Draining, ..served() };
        insta::assert_snapshot!("an_exchange_without_clients", text(&exchange(&alone), 79));
    }

    fn large() -> Snapshot {
        Snapshot {
            offered_rate: 1_000_000.0,
            achieved_rate: 1_000_000.0,
            processed_rate: 999_123.0,
            in_flight: 1_000_000,
            memory_bytes: 1_240_000_000,
            cpu_percent: 199.7,
            error_rate: 0.123,
            ..healthy()
        }
    }

    fn failing() -> Snapshot {
        Snapshot {
            achieved_rate: 512.0,
            processed_rate: 301.0,
            failed: 9_000,
            in_flight: 1_000,
            error_rate: 0.3191,
            latency: LatencyFigures { mean_ns: 2_412_000_000.0, p99_ns: 5_000_000_000, ..healthy().latency },
            connections: 4,
            connections_up: 3,
            ..healthy()
        }
    }
}
