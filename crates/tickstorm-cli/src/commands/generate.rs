//! `tickstorm generate`: a plan's messages as a file or into a pipe.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use tickstorm::{Export, ExportCadence, ExportFormat, check::Sketch};
use tickstorm_report::{format, plot::plot_html};

use super::{
    run::same,
    stream::{StreamPlan, Texts},
};
use crate::{
    arguments::{GenerateArguments, Release},
    exit::{Exit, Refusal},
    interrupt::Interrupt,
    output::{Audience, Output, OutputError},
    terminal::say,
};

pub(crate) fn generate(arguments: GenerateArguments) -> Result<Exit, Refusal> {
    let mut texts = Texts::default();
    let count = texts.count(arguments.count.as_deref());
    let format = texts.read("--format", arguments.format.as_deref()).unwrap_or_default();
    let cadence = texts.read("--cadence", arguments.cadence.as_deref()).unwrap_or_default();
    let depth = texts.read::<Depth>("--depth", arguments.depth.as_deref());
    check_wording(format, cadence, depth, &mut texts);
    let stream = texts.plan(arguments.settings, arguments.config.as_deref(), count)?;
    let depth = depth_of(&stream, depth)?;
    let places = Places::open(arguments.output, arguments.plot, format)?;
    if !arguments.is_quiet {
        stream.plan.warnings().iter().for_each(|warning| say(&format!("warning: {warning}\n")));
    }

    let export = Export::with(&stream.plan, format, cadence, depth);
    let sketch = places.plot.is_some().then(|| Sketch::new(&stream.plan, &export.snapshots()));
    let mut writing = Writing {
        export,
        sketch,
        output: places.stream,
        buffer: Vec::with_capacity(2 * CHUNK_BYTES),
        messages: 0,
        bytes: 0,
        start: Instant::now(),
        interrupt: Interrupt::listen()?,
    };
    let failure = |error: OutputError| Refusal::new(Exit::Failure, error.to_string());
    let ending = writing.write(stream.count.unwrap_or(u64::MAX), arguments.release).map_err(failure)?;

    // Nobody is in the way of a summary but a person who looks at the messages themselves.
    let goes_elsewhere = places.is_file || writing.output.is_none();
    let shows_summary = !arguments.is_quiet && (io::stderr().is_terminal() || goes_elsewhere);
    if shows_summary && ending != Ending::ReaderLeft {
        say(&writing.summary());
    }
    if let Some(output) = writing.output {
        output.finish().map_err(failure)?;
    }
    if let Some((sketch, plot)) = writing.sketch.zip(places.plot) {
        let title = format!("A market of {} symbols", stream.plan.spec().symbols);
        let page = sketch.page(&title, &format!("tickstorm generate{}", stream.flags()));
        plot.write(plot_html(&page).as_bytes()).map_err(failure)?;
    }
    Ok(if ending == Ending::Interrupted { Exit::Interrupted } else { Exit::Pass })
}

/// Levels a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Depth(u32);

impl std::str::FromStr for Depth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("expected a whole number of levels a side, got `{text}`"))
    }
}

/// What only a venue's messages have is refused for others.
fn check_wording(format: ExportFormat, cadence: ExportCadence, depth: Option<Depth>, texts: &mut Texts) {
    if format.is_of_venue() {
        return;
    }
    let instead = format!("{format} has the market's own messages, choose jsonl or frames");
    if cadence != ExportCadence::Realtime {
        texts.complain("--cadence", format_args!("only a venue's messages have its rhythm: {instead}"));
    }
    if depth.is_some() {
        texts.complain("--depth", format_args!("only a venue's books end at a depth: {instead}"));
    }
}

/// The depth that was asked for, if the venue has it.
fn depth_of(stream: &StreamPlan, asked: Option<Depth>) -> Result<u32, Refusal> {
    let venue = stream.plan.spec().venue;
    let rules = venue.rules();
    let Some(Depth(depth)) = asked else { return Ok(rules.whole_depth()) };
    if rules.depths.contains(&depth) {
        return Ok(depth);
    }
    let allowed: Vec<_> = rules.depths.iter().map(ToString::to_string).collect();
    let whole = if rules.depths.contains(&0) { " (0: all levels)" } else { "" };
    let complaint = format!(
        "--depth: {venue} has no books of {depth} levels a side, must be one of: {}{whole}",
        allowed.join(", ")
    );
    Err(Refusal::new(Exit::Usage, complaint))
}

/// Where everything goes.
struct Places {
    /// None where only a picture is wanted.
    stream: Option<Output>,
    plot: Option<Output>,
    is_file: bool,
}

impl Places {
    fn open(stream: Option<PathBuf>, plot: Option<PathBuf>, format: ExportFormat) -> Result<Self, Refusal> {
        let stream = match (stream, &plot) {
            (None, Some(_)) => None,
            (stream, _) => Some(stream.unwrap_or_else(|| STANDARD_OUTPUT.into())),
        };
        if let Some((stream, plot)) = stream.as_deref().zip(plot.as_deref())
            && same(stream, plot)
        {
            let complaint =
                "--plot: the stream goes there already, give another place with --output or --plot";
            return Err(Refusal::new(Exit::Usage, complaint));
        }
        let is_file = stream.as_deref().is_some_and(|path| path != Path::new(STANDARD_OUTPUT));
        if stream.is_some() && !is_file && !format.is_text() && io::stdout().is_terminal() {
            let complaint = format!(
                "--format: {format} is not for reading, and standard output is a terminal: give --output FILE, or a pipe"
            );
            return Err(Refusal::new(Exit::Usage, complaint));
        }
        let open = |flag: &str, path: &Path| {
            Output::open(path).map_err(|error| Refusal::new(Exit::Failure, format!("{flag}: {error}")))
        };
        Ok(Self {
            stream: stream.map(|path| open("--output", &path)).transpose()?,
            plot: plot.map(|path| open("--plot", &path)).transpose()?,
            is_file,
        })
    }
}

const STANDARD_OUTPUT: &str = "-";

/// A stream on its way out.
struct Writing {
    export: Export,
    sketch: Option<Sketch>,
    output: Option<Output>,
    /// What is ready to be written.
    buffer: Vec<u8>,
    messages: u64,
    bytes: u64,
    start: Instant,
    interrupt: Interrupt,
}

/// Why no more is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Complete,
    /// Whoever read the pipe has seen enough.
    ReaderLeft,
    Interrupted,
}

impl Writing {
    fn write(&mut self, count: u64, release: Release) -> Result<Ending, OutputError> {
        while self.export.next_of_head(&mut self.buffer) {
            if self.buffer.len() >= CHUNK_BYTES
                && let Some(ending) = self.push(self.buffer.len())?
            {
                return Ok(ending);
            }
        }
        if let Some(ending) = self.push(self.buffer.len())? {
            return Ok(ending);
        }
        let ending = match release {
            Release::AtOnce => self.write_at_once(count)?,
            Release::Paced => self.write_when_due(count)?,
        };
        if let Some(ending) = ending {
            return Ok(ending);
        }
        self.export.finish(&mut self.buffer);
        Ok(self.push(self.buffer.len())?.unwrap_or(Ending::Complete))
    }

    fn write_at_once(&mut self, count: u64) -> Result<Option<Ending>, OutputError> {
        while self.messages < count && self.next().is_some() {
            if self.buffer.len() >= CHUNK_BYTES
                && let Some(ending) = self.push(self.buffer.len())?
            {
                return Ok(Some(ending));
            }
        }
        Ok(None)
    }

    /// Nothing is written before it is due. The clock is read only where it matters: when a message is later than it was
    /// last seen to be.
    fn write_when_due(&mut self, count: u64) -> Result<Option<Ending>, OutputError> {
        let mut now = Duration::ZERO;
        while self.messages < count {
            let ready = self.buffer.len();
            let Some(due_ns) = self.next() else { break };
            let due = Duration::from_nanos(due_ns);
            if due > now {
                now = self.start.elapsed();
            }
            let until = if due > now { ready } else { self.buffer.len() };
            if (due > now || until >= CHUNK_BYTES)
                && let Some(ending) = self.push(until)?
            {
                return Ok(Some(ending));
            }
            while due > now {
                thread::sleep((due - now).min(LONGEST_SLEEP));
                if self.interrupt.has_come() {
                    return Ok(Some(Ending::Interrupted));
                }
                now = self.start.elapsed();
            }
        }
        Ok(None)
    }

    /// Appends the next message to the buffer and tells when it is due.
    #[inline]
    fn next(&mut self) -> Option<u64> {
        let due_ns = match &mut self.sketch {
            None => self.export.next(&mut self.buffer)?,
            Some(sketch) => {
                let message = self.export.next_message(&mut self.buffer)?;
                sketch.observe(&message);
                message.due_ns
            }
        };
        self.messages += 1;
        Some(due_ns)
    }

    /// Writes so much of the buffer, and tells if that is the end.
    fn push(&mut self, until: usize) -> Result<Option<Ending>, OutputError> {
        if let Some(output) = &mut self.output
            && until > 0
        {
            if output.push(&self.buffer[..until])? == Audience::Gone {
                return Ok(Some(Ending::ReaderLeft));
            }
            self.bytes += until as u64;
        }
        self.buffer.drain(..until);
        Ok(self.interrupt.has_come().then_some(Ending::Interrupted))
    }

    fn summary(&self) -> String {
        let seconds = self.start.elapsed().as_secs_f64();
        let (messages, rate) = (format::count(self.messages), format::rate(self.messages as f64 / seconds));
        let time = format::duration_ms(seconds * 1e3);
        let bytes = match self.output {
            Some(_) => format!(", {}", format::bytes(self.bytes)),
            None => String::new(),
        };
        format!("{messages} messages{bytes} in {time}, {rate}\n")
    }
}

/// Enough that the system calls cost nothing beside the messages, and so little that it stays in the cache.
const CHUNK_BYTES: usize = 256 << 10;

/// How soon an interrupt is noticed.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
