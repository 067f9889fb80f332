//! A mock exchange that clients in Python, or in anything else, connect to.

use std::sync::{Arc, Mutex, atomic::AtomicUsize, atomic::Ordering::Relaxed};

use pyo3::{exceptions::PyValueError, prelude::*};
use tickstorm::{
    Plan, Setting, Spec, Venue,
    serve::{self, ApiKey, CLIENT_QUEUES, Publishing, ServeSpec, TlsChoice},
};
use tickstorm_load::parse_duration;

use crate::engine::{Running, chain, follow, lock, refused, set};

/// Settings of an exchange that were checked. It can be opened any number of times.
#[pyclass(frozen, module = "tickstorm._tickstorm")]
pub(crate) struct Exchange {
    plan: Plan,
    doors: ServeSpec,
}

#[pymethods]
impl Exchange {
    /// Both are triples of an argument, for error messages, a name and a value as text: `settings` of the load and the
    /// market, `doors` of everything else.
    #[new]
    fn new(
        py: Python<'_>,
        settings: Vec<(String, String, String)>,
        doors: Vec<(String, String, String)>,
    ) -> PyResult<Self> {
        let mut spec = Spec::default();
        for (name, text) in DEFAULTS {
            set(&mut spec, name, name, text)?;
        }
        for (argument, name, text) in &settings {
            if !is_of_serving(name) {
                let problem = "an exchange serves all venues and connects to nobody: leave it out";
                return Err(refused(argument, problem.into()));
            }
            set(&mut spec, argument, name, text)?;
        }
        let mut serve_spec = ServeSpec::default();
        for (argument, name, text) in &doors {
            set_door(&mut serve_spec, name, text).map_err(|problem| refused(argument, problem))?;
        }
        let plan = py.detach(|| Plan::serving(&spec));
        let plan = plan.map_err(|errors| {
            let problems: Vec<_> = errors.0.iter().map(ToString::to_string).collect();
            PyValueError::new_err(problems.join("; "))
        })?;
        Ok(Self { plan, doors: serve_spec })
    }

    /// Opens the doors, waits for the clients and storms them, all in a thread. It calls `call_soon(callback)` when the
    /// doors are open, and again at the end.
    fn open(&self, py: Python<'_>, call_soon: Py<PyAny>, callback: Py<PyAny>) -> PyResult<Serving> {
        let entrance = Arc::<Entrance>::default();
        let (plan, doors, seen) = (self.plan.clone(), self.doors.clone(), entrance.clone());
        let running = Running::start("tickstorm-serve", move |remote, result| {
            // A loop that is closed has no use for it, nor has an interpreter that is gone.
            let tell = || Python::try_attach(|py| call_soon.call1(py, (&callback,)).is_ok());
            let run = serve::Exchange::open(plan, doors).and_then(|exchange| {
                *lock(&seen.opened) = Some(Opened {
                    address: exchange.address().to_string(),
                    authority: exchange.authority_pem().map(str::to_owned),
                });
                tell();
                let seen_to_come = |waiting: &serve::Waiting| seen.came.store(waiting.subscribed, Relaxed);
                exchange.start_watched(|| remote.has_early_order(), seen_to_come)
            });
            result.leave(run.map(|run| follow(remote, run)).map_err(|error| chain(&error)));
            tell();
            let _ = Python::try_attach(|_| drop((call_soon, callback)));
        })?;
        Ok(Serving { entrance, running: Py::new(py, running)? })
    }

    /// Every setting of the load and the market and its value.
    fn describe(&self) -> Vec<(&'static str, String)> {
        self.plan.describe()
    }
}

/// An exchange that was opened.
#[pyclass(frozen, module = "tickstorm._tickstorm")]
pub(crate) struct Serving {
    entrance: Arc<Entrance>,
    running: Py<Running>,
}

#[derive(Default)]
struct Entrance {
    opened: Mutex<Option<Opened>>,
    /// Clients with a subscription, as long as they are waited for.
    came: AtomicUsize,
}

struct Opened {
    address: String,
    authority: Option<String>,
}

#[pymethods]
impl Serving {
    /// Its run; there is none to look at before the clients have come, but orders are taken.
    #[getter]
    fn running(&self, py: Python<'_>) -> Py<Running> {
        self.running.clone_ref(py)
    }

    /// Where it listens, with the real port; nothing until it does.
    #[getter]
    fn address(&self) -> Option<String> {
        lock(&self.entrance.opened).as_ref().map(|opened| opened.address.clone())
    }

    /// The certificate of the authority that TLS clients are to trust, if there is one.
    #[getter]
    fn authority(&self) -> Option<String> {
        lock(&self.entrance.opened).as_ref()?.authority.clone()
    }

    /// How many clients with a subscription had come when they were last waited for.
    #[getter]
    fn came(&self) -> usize {
        self.entrance.came.load(Relaxed)
    }
}

/// The names of the venues.
#[pyfunction]
pub(crate) fn venues() -> Vec<&'static str> {
    Venue::ALL.iter().map(|venue| venue.name()).collect()
}

/// Names that are unknown are left to be refused as such.
fn is_of_serving(name: &str) -> bool {
    Setting::named(name)
        .is_none_or(|setting| setting.group != "Target" && !matches!(setting.name, "venue" | "flush"))
}

/// Sets what the flag of the same name sets.
fn set_door(spec: &mut ServeSpec, name: &str, text: &str) -> Result<(), String> {
    match name {
        "listen" => {
            let address = text.parse();
            spec.listen = address
                .map_err(|_| format!("expected an address and a port, as 127.0.0.1:9443, got `{text}`"))?;
        }
        "listen-public" => spec.is_public = text == "true",
        "tls" => spec.tls = TlsChoice::Throwaway { names: Vec::new() },
        "tls-name" => match &mut spec.tls {
            TlsChoice::Throwaway { names } => names.push(text.to_owned()),
            tls => *tls = TlsChoice::Throwaway { names: vec![text.to_owned()] },
        },
        "clients" => {
            let most = u32::MAX;
            spec.clients = text
                .parse()
                .map_err(|_| format!("expected a whole number from 0 to {most}, got `{text}`"))?;
        }
        "wait-for" => spec.wait_for = Some(duration(text)?),
        "client-queue" => {
            let size = text.parse().ok().filter(|size| CLIENT_QUEUES.contains(size));
            spec.client_queue = size.ok_or_else(|| {
                let (least, most) = CLIENT_QUEUES.into_inner();
                format!("expected a number of bytes from {least} to {most}, got `{text}`")
            })?;
        }
        "slow-client" => spec.slow_client = text.parse()?,
        "cadence" => {
            spec.cadence = match text {
                "venue" => Publishing::Venue,
                "realtime" => Publishing::Realtime,
                _ => return Err(format!("expected venue or realtime, got `{text}`")),
            }
        }
        "limits" => spec.limits = text.parse::<serve::LimitProfile>().map_err(|error| chain(&error))?,
        "venue-option" => spec.options.set(text).map_err(|error| chain(&error))?,
        // The text holds a secret, so it is not repeated.
        "api-key" => spec.keys.push(text.parse::<ApiKey>()?),
        "ping-probes" => spec.pings = text.parse()?,
        "silence" => spec.silence = duration(text)?,
        _ => return Err(format!("no such setting of an exchange: `{name}`")),
    }
    Ok(())
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    parse_duration(text).map_err(|error| chain(&error))
}

/// What `tickstorm serve` has where nothing is said: a market's bursts, and the time on the clock.
const DEFAULTS: [(&str, &str); 2] = [("arrivals", "bursty"), ("start-time", "now")];
