//! A run: starts the workers, gathers what they record, and ends in a report.

use std::{
    io,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tickstorm_market::ShardMarket;
use tickstorm_net::{Builtin, ConnectError, Connection, Endpoint};
use tickstorm_report::StopReason;
use tickstorm_venue::Encoder;
use tokio::runtime::Handle;

use crate::{
    AckMode, Plan, Snapshot, Target,
    call::CallOutlet,
    collector::{Collector, Finished},
    control::Control,
    hosted::{HostedCalls, HostedOutlet, supplied},
    message::Wording,
    pacer::Pacer,
    plan::SERVE,
    push::{Protocol, PushOutlet},
    serve::{ServeOutlet, Served},
    target::Callee,
    worker::{Command, Counting, Links, Orders, Shared, Worker},
};

/// A run under way. Dropping it aborts it.
#[derive(Debug)]
pub struct Run {
    control: Control,
    collector: Option<JoinHandle<Finished>>,
}

impl Run {
    /// Connects to the target and starts the workers. A call target runs on the tokio runtime that this is called on.
    pub fn start(plan: Plan, target: &Target) -> Result<Run, StartError> {
        let markets = markets_of_run(&plan);
        let builtin = match target {
            Target::Builtin(spec) => {
                let snapshots: Vec<_> =
                    markets.iter().flatten().flat_map(|market| market.snapshots()).collect();
                let listing = &plan.market.listing;
                let builtin = Builtin::start(spec, plan.spec.venue, listing, &snapshots)
                    .map_err(StartError::Builtin)?;
                Some(builtin)
            }
            _ => None,
        };
        let reach = match target {
            Target::Builtin(_) => {
                Reach::Push(builtin.as_ref().expect("it was just started").endpoint().clone())
            }
            Target::WebSocket(endpoint) => Reach::Push(endpoint.clone()),
            Target::Call(callee) => {
                Reach::Call(callee.clone(), Handle::try_current().map_err(|_| StartError::NoRuntime)?)
            }
            Target::Hosted(calls) => Reach::Hosted(calls.clone()),
        };
        let outlets = outlets(&plan, &markets, &reach).map_err(|error| {
            let refusal = builtin.as_ref().and_then(Builtin::take_refusal);
            refusal.map_or(error, StartError::Accept)
        })?;

        // All workers and the target count time from one instant, late enough for every thread to be there.
        let origin = Instant::now() + HEAD_START;
        if let Some(builtin) = &builtin {
            builtin.set_origin(origin + plan.spec.warmup);
        }
        let finds = Finds { builtin, served: None };
        launch(plan, outlets, markets, origin, finds)
    }

    /// A handle that looks at the run and ends it.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// The figures of now, some tenths of a second old.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.control.snapshot()
    }

    /// See [`Control::stop`].
    pub fn stop(&self, reason: StopReason) {
        self.control.stop(reason);
    }

    /// See [`Control::abort`].
    pub fn abort(&self, reason: StopReason) {
        self.control.abort(reason);
    }

    /// Whether [`Run::wait`] would return at once.
    pub fn is_finished(&self) -> bool {
        self.collector.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Finished {
        let collector = self.collector.take().expect("a run is waited for once");
        collector.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Starts the clock of an exchange whose clients have come.
pub(crate) fn start_serving(
    plan: Plan,
    mut outlet: ServeOutlet,
    markets: MarketsOfRun,
    served: Served,
) -> Result<Run, StartError> {
    let origin = Instant::now() + HEAD_START;
    outlet.set_origin(origin);
    let finds = Finds { builtin: None, served: Some(served) };
    launch(plan, vec![AnyOutlet::Serve(Box::new(outlet))], markets, origin, finds)
}

/// Sets the workers going, each with its outlet, and one who gathers what they find.
fn launch(
    plan: Plan,
    outlets: Vec<AnyOutlet>,
    markets: MarketsOfRun,
    origin: Instant,
    finds: Finds,
) -> Result<Run, StartError> {
    let (deltas, gathered) = mpsc::channel();
    let mut spares = Vec::new();
    let mut threads = Vec::new();
    let shared: Arc<[Arc<Shared>]> = outlets.iter().map(|_| Arc::default()).collect();
    let mut all_orders = orders(&plan, markets);
    for (index, outlet) in outlets.into_iter().enumerate().rev() {
        let (spare, returned) = mpsc::channel();
        spares.push(spare);
        let orders = all_orders.pop().expect("there are orders for each worker");
        let rate = plan.schedule.peak_rate() / f64::from(plan.workers);
        let pacer = match &outlet {
            AnyOutlet::Hosted(_) => Pacer::of_host(),
            _ => Pacer::new(plan.spec.pacing, rate, plan.has_core_for_each()),
        };
        let links = Links {
            worker: index,
            origin,
            shared: shared[index].clone(),
            deltas: deltas.clone(),
            spares: returned,
        };
        let start = move || match outlet {
            AnyOutlet::Push(outlet) => Worker::new(links, orders, *outlet, pacer).run(),
            AnyOutlet::Call(outlet) => Worker::new(links, orders, *outlet, pacer).run(),
            AnyOutlet::Hosted(outlet) => Worker::new(links, orders, *outlet, pacer).run(),
            AnyOutlet::Serve(outlet) => Worker::new(links, orders, *outlet, pacer).run(),
        };
        let name = format!("tickstorm-{index}");
        threads
            .push(thread::Builder::new().name(name).spawn(start).map_err(|error| give_up(&shared, error))?);
    }
    spares.reverse();
    threads.reverse();
    drop(deltas);

    let control = Control::new(shared, Snapshot::before(&plan));
    let collector = Collector::new(plan, control.clone(), origin, finds);
    let collector = thread::Builder::new()
        .name("tickstorm-collect".into())
        .spawn(move || collector.run(&gathered, &spares, threads))
        .map_err(|error| {
            control.abort(StopReason::InternalError);
            StartError::Thread(error)
        })?;
    Ok(Run { control, collector: Some(collector) })
}

/// What beside the workers' recordings a run's report is made of.
pub(crate) struct Finds {
    pub builtin: Option<Builtin>,
    pub served: Option<Served>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(collector) = self.collector.take() {
            self.control.abort(StopReason::Requested);
            // Its panic, if it had one, has been printed.
            let _ = collector.join();
        }
    }
}

/// Why a run did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody answers at the target's address.
    #[error("cannot reach the target {endpoint}")]
    Unreachable {
        /// Where to.
        endpoint: Endpoint,
        /// Why not.
        source: Box<ConnectError>,
    },
    /// The built-in target could not start.
    #[error("cannot start the built-in target")]
    Builtin(#[source] io::Error),
    /// The built-in target could not accept all connections: most likely there are no more file descriptors.
    #[error("the built-in target cannot accept a connection")]
    Accept(#[source] io::Error),
    /// A call target needs a tokio runtime around [`Run::start`].
    #[error("a called target needs a tokio runtime: start the run inside one")]
    NoRuntime,
    /// A host's calls serve one run.
    #[error("these hosted calls have served a run already: make new ones")]
    HostUsed,
    /// The system gave no thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The system gave nothing to wait on sockets with.
    #[error("cannot watch sockets")]
    Poller(#[source] io::Error),
}

enum Reach {
    Push(Endpoint),
    Call(Callee, Handle),
    Hosted(HostedCalls),
}

enum AnyOutlet {
    Push(Box<PushOutlet>),
    Call(Box<CallOutlet>),
    Hosted(Box<HostedOutlet>),
    Serve(Box<ServeOutlet>),
}

/// Workers that are under way already must not storm on with nobody to end them.
fn give_up(workers: &[Arc<Shared>], error: io::Error) -> StartError {
    for shared in workers {
        shared.order(Command::Abort);
    }
    StartError::Thread(error)
}

/// The markets of a run, by shard.
pub(crate) type MarketsOfRun = Vec<Option<Box<ShardMarket>>>;

pub(crate) fn markets_of_run(plan: &Plan) -> MarketsOfRun {
    let market = plan.market_of_run();
    let weights = market.shard_weights();
    let make = |shard: usize| ShardMarket::new(&market, shard as u16).expect("the plan checked the market");
    (0..weights.len()).map(|shard| (weights[shard] > 0).then(|| Box::new(make(shard)))).collect()
}

/// One outlet a worker, connected.
fn outlets(
    plan: &Plan,
    markets: &[Option<Box<ShardMarket>>],
    reach: &Reach,
) -> Result<Vec<AnyOutlet>, StartError> {
    let listing = &plan.market.listing;
    let start_unix_ns = plan.spec.start_unix_ns.expect("the plan resolved it");
    let encoder = |worker: u32| {
        let mut encoder = Encoder::new(plan.spec.venue, listing, start_unix_ns);
        let own = |shard: &usize| plan.worker_of_lane(plan.lane_of_shard(*shard as u16)) == worker;
        let markets = (0..markets.len()).filter(own).filter_map(|shard| markets[shard].as_ref());
        markets.flat_map(|market| market.snapshots()).for_each(|book| encoder.seed(&book));
        encoder
    };
    (0..plan.workers)
        .map(|worker| match reach {
            Reach::Call(callee, runtime) => {
                let wording = Wording::new(encoder(worker), listing);
                Ok(AnyOutlet::Call(Box::new(CallOutlet::new(callee.clone(), runtime.clone(), wording))))
            }
            Reach::Hosted(calls) => {
                let wording = Wording::new(encoder(worker), listing);
                let outlet = HostedOutlet::new(calls.clone(), wording, plan.spec.max_concurrent);
                Ok(AnyOutlet::Hosted(Box::new(outlet.ok_or(StartError::HostUsed)?)))
            }
            Reach::Push(endpoint) => {
                let lanes = (0..plan.lanes).filter(|&lane| plan.worker_of_lane(lane) == worker);
                let connect = |_| Connection::connect(endpoint, CONNECT_TIMEOUT);
                let connections: Result<Vec<_>, _> = lanes.map(connect).collect();
                let connections = connections.map_err(|source| StartError::Unreachable {
                    endpoint: endpoint.clone(),
                    source: Box::new(source),
                })?;
                let protocol = Protocol {
                    encoder: encoder(worker),
                    ack: plan.ack.unwrap_or(AckMode::None),
                    ack_pointer: plan.spec.ack_pointer.clone(),
                    stamp_id: plan.spec.stamp_id.clone(),
                    id_pointer: plan.spec.id_pointer.clone(),
                    arrays: plan.spec.batch > 1,
                };
                let outlet = PushOutlet::new(connections, endpoint, protocol).map_err(StartError::Poller)?;
                Ok(AnyOutlet::Push(Box::new(outlet)))
            }
        })
        .collect()
}

/// Divides the plan among the workers, in order.
fn orders(plan: &Plan, mut markets: MarketsOfRun) -> Vec<Orders> {
    let measured_from_ns = plan.spec.warmup.as_nanos() as u64;
    let shards = plan.market.shards;
    (0..plan.workers)
        .map(|worker| {
            let owns = |shard: u16| plan.worker_of_lane(plan.lane_of_shard(shard)) == worker;
            let warm_up = plan.warm_up.iter().map(|schedule| (schedule.clock(owns), 0));
            let measured = std::iter::once((plan.schedule.clock(owns), measured_from_ns));
            let mut own_markets: Vec<_> = (0..shards).map(|_| None).collect();
            for shard in (0..shards).filter(|&shard| owns(shard)) {
                own_markets[usize::from(shard)] = markets[usize::from(shard)].take();
            }
            let lanes = (0..plan.lanes).filter(|&lane| plan.worker_of_lane(lane) == worker).count();
            // The first workers take one more each of what does not divide.
            let share =
                |total: u32| u64::from(total / plan.workers + u32::from(worker < total % plan.workers));
            Orders {
                phases: warm_up.chain(measured).collect(),
                markets: own_markets,
                lane_of_shard: (0..shards).map(|shard| plan.lane_of_shard(shard) / plan.workers).collect(),
                lanes,
                measured_from_ns,
                end_ns: measured_from_ns + plan.schedule.duration_ns(),
                max_concurrent: match plan.ack {
                    Some(AckMode::None) => None,
                    _ if plan.is_hosted => Some(supplied(plan.spec.max_concurrent, plan.spec.at_limit)),
                    _ => Some(share(plan.spec.max_concurrent)),
                },
                at_limit: plan.spec.at_limit,
                timeout_ns: plan.spec.timeout.as_nanos() as u64,
                batch: plan.spec.batch as usize,
                flush: plan.spec.flush,
                taken_is_processed: plan.ack == Some(AckMode::None),
                replies_have_ids: plan.ack != Some(AckMode::Fifo),
                counting: if plan.target_kind == SERVE { Counting::ByTheOutlet } else { Counting::Messages },
                publish_every_ns: [1_000_000_000, plan.spec.report_interval.as_nanos() as u64],
                recording: plan.recording(),
            }
        })
        .collect()
}

/// How long after the last connection the run's time starts.
const HEAD_START: Duration = Duration::from_millis(50);

/// How long a target may take to accept a connection and shake hands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
