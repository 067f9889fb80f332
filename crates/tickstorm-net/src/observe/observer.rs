//! The thread that looks, so that the one that sends does not have to.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::kernel::SocketDiag;
use super::owner::Owners;
use super::process::{Activity, ProcessWatch};
use super::silence::{Finding, Idle, Sample, Silence, SilenceLimits};

/// Looks at connections and at the processes behind them, in a thread of its own, and keeps what it saw in
/// [`Gauges`] that anybody reads without waiting.
///
/// It holds none of the sockets: who closes a connection does not have to ask. Looks come ten times a second, and
/// two hundred times while a client idles before the feed or is silent after it. They come less often where one
/// round of them takes too long, with many clients, and what is found says how exact it is.
#[derive(Debug)]
pub struct Observer {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
    next: AtomicU64,
}

/// A connection that is looked at, until this is dropped.
#[derive(Debug)]
pub struct Watch {
    number: u64,
    orders: Sender<Order>,
    gauges: Arc<Gauges>,
}

/// What was seen at the last look.
#[derive(Debug)]
pub struct Gauges {
    our_queue: AtomicU64,
    our_kernel: AtomicU64,
    client_queue: AtomicU64,
    pid: AtomicU64,
    run_ns: AtomicU64,
    voluntary_switches: AtomicU64,
    threads: AtomicU64,
    resident_bytes: AtomicU64,
    restless: AtomicBool,
    silent: AtomicBool,
    name: Mutex<Option<String>>,
    finding: Mutex<Option<Finding>>,
}

/// How often a look is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rhythm {
    /// While the feed runs.
    Steady,
    /// While a client is silent, or idle before the feed.
    Dense,
}

impl Rhythm {
    /// The time from one look to the next.
    pub const fn interval(self) -> Duration {
        match self {
            Rhythm::Steady => Duration::from_millis(100),
            Rhythm::Dense => Duration::from_millis(5),
        }
    }
}

impl Observer {
    /// Starts the thread. All times, here and in what is found, are nanoseconds since `origin`. On systems that
    /// tell nothing it runs all the same, and sees nothing but our own queue.
    pub fn start(origin: Instant) -> io::Result<Self> {
        let (orders, taken) = mpsc::channel();
        let thread = std::thread::Builder::new().name("tickstorm-observer".into()).spawn(move || {
            Eye::new(origin).run(&taken);
        })?;
        Ok(Self { orders, thread: Some(thread), next: AtomicU64::new(0) })
    }

    /// Looks at the connection that leads from `local`, which is ours, to `peer`.
    pub fn watch(&self, local: SocketAddr, peer: SocketAddr) -> Watch {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let gauges = Arc::new(Gauges::new());
        // Without a thread to take it, what nobody sees stays unknown.
        let _ = self.orders.send(Order::Watch { number, local, peer, gauges: Arc::clone(&gauges) });
        Watch { number, orders: self.orders.clone(), gauges }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::End);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say beyond its gauges.
            let _ = thread.join();
        }
    }
}

impl Watch {
    /// What was seen.
    pub fn gauges(&self) -> &Arc<Gauges> {
        &self.gauges
    }

    /// The client is connected and subscribed and gets nothing: what it does now is its idling. Forgets an
    /// earlier one.
    pub fn calm_begins(&self) {
        self.order(Order::Calm { number: self.number });
    }

    /// The feed begins.
    pub fn calm_ends(&self) {
        self.order(Order::Feed { number: self.number });
    }

    /// The feed has stopped: the last message was due at this time, nothing, not even a ping, comes after it, and
    /// the connection stays open. Until [`is_silent`](Gauges::is_silent) says that the silence is over, our queue
    /// goes on being sent; then there is a [finding](Gauges::finding), unless the observer is gone. All
    /// connections of a client are to stop together: what is watched is its process.
    pub fn stopped(&self, stopped_at_ns: u64, limits: SilenceLimits) {
        *lock(&self.gauges.finding) = None;
        self.gauges.silent.store(true, Ordering::Release);
        self.order(Order::Stopped { number: self.number, stopped_at_ns, limits });
    }

    /// The feed goes on: a silence under way ends without a finding.
    pub fn goes_on(&self) {
        self.order(Order::Feed { number: self.number });
    }

    fn order(&self, order: Order) {
        // Without a thread to take it, what nobody sees stays unknown.
        let _ = self.orders.send(order);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Forget { number: self.number });
    }
}

impl Gauges {
    fn new() -> Self {
        let unknown = || AtomicU64::new(UNKNOWN);
        Self {
            our_queue: AtomicU64::new(0),
            our_kernel: unknown(),
            client_queue: unknown(),
            pid: unknown(),
            run_ns: unknown(),
            voluntary_switches: unknown(),
            threads: unknown(),
            resident_bytes: unknown(),
            restless: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            name: Mutex::new(None),
            finding: Mutex::new(None),
        }
    }

    /// Tells how many bytes wait in our own queue; whoever owns the queue says so when it changes.
    pub fn set_our_queue(&self, bytes: u64) {
        self.our_queue.store(bytes, Ordering::Relaxed);
    }

    /// Bytes in our own queue.
    pub fn our_queue(&self) -> u64 {
        self.our_queue.load(Ordering::Relaxed)
    }

    /// Bytes that our kernel holds, or that are on their way.
    pub fn our_kernel(&self) -> Option<u64> {
        known(&self.our_kernel)
    }

    /// Bytes that the client has not read from its kernel.
    pub fn client_queue(&self) -> Option<u64> {
        known(&self.client_queue)
    }

    /// The client's process, if it is on this host and may be seen.
    pub fn pid(&self) -> Option<u32> {
        known(&self.pid).map(|pid| pid as u32)
    }

    /// The name of its command.
    pub fn name(&self) -> Option<String> {
        lock(&self.name).clone()
    }

    /// Time on a CPU since the watch began.
    pub fn run_ns(&self) -> Option<u64> {
        known(&self.run_ns)
    }

    /// How often one of its threads has gone to sleep since the watch began.
    pub fn voluntary_switches(&self) -> Option<u64> {
        known(&self.voluntary_switches)
    }

    /// Its threads.
    pub fn threads(&self) -> Option<u64> {
        known(&self.threads)
    }

    /// Memory that it uses, looked at once a second.
    pub fn resident_bytes(&self) -> Option<u64> {
        known(&self.resident_bytes)
    }

    /// Whether the client does this and that while it gets nothing, as far as it was seen: more of it should be.
    pub fn is_restless(&self) -> bool {
        self.restless.load(Ordering::Relaxed)
    }

    /// Whether a silence is under way.
    pub fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }

    /// What the last silence has shown, once it is over.
    pub fn finding(&self) -> Option<Finding> {
        lock(&self.finding).clone()
    }
}

fn known(gauge: &AtomicU64) -> Option<u64> {
    let value = gauge.load(Ordering::Relaxed);
    (value != UNKNOWN).then_some(value)
}

fn set(gauge: &AtomicU64, value: Option<u64>) {
    gauge.store(value.unwrap_or(UNKNOWN), Ordering::Relaxed);
}

/// What these locks guard is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
enum Order {
    Watch { number: u64, local: SocketAddr, peer: SocketAddr, gauges: Arc<Gauges> },
    Calm { number: u64 },
    Feed { number: u64 },
    Stopped { number: u64, stopped_at_ns: u64, limits: SilenceLimits },
    Forget { number: u64 },
    End,
}

/// The thread's side.
struct Eye {
    origin: Instant,
    diag: Option<SocketDiag>,
    owners: Owners,
    connections: HashMap<u64, Observed>,
    processes: HashMap<u32, Watched>,
    owners_sought_at: Option<Instant>,
    memory_seen_at: Option<Instant>,
}

/// A connection.
struct Observed {
    local: SocketAddr,
    peer: SocketAddr,
    gauges: Arc<Gauges>,
    inode: u32,
    pid: Option<u32>,
    idle: Idle,
    looks: u32,
    now: Now,
}

/// What is going on with it.
enum Now {
    Calm,
    Feed,
    Silence(Box<Silence>),
}

/// A process, however many connections it has.
struct Watched {
    watch: ProcessWatch,
    seen: Option<Activity>,
}

impl Eye {
    fn new(origin: Instant) -> Self {
        Self {
            origin,
            diag: SocketDiag::new().ok(),
            owners: Owners::new(),
            connections: HashMap::new(),
            processes: HashMap::new(),
            owners_sought_at: None,
            memory_seen_at: None,
        }
    }

    fn run(mut self, orders: &Receiver<Order>) {
        let mut due = Instant::now();
        loop {
            // Orders come rarely; what they ask for starts with the next look.
            match orders.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(order) => {
                    if !self.obey(order) {
                        return;
                    }
                    due = due.min(Instant::now() + self.rhythm().interval());
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let start = Instant::now();
            self.look();
            let taken = start.elapsed();
            due = (due + self.rhythm().interval()).max(start + taken * LEAVE_ALONE);
        }
    }

    fn obey(&mut self, order: Order) -> bool {
        match order {
            Order::Watch { number, local, peer, gauges } => {
                let observed = Observed {
                    local,
                    peer,
                    gauges,
                    inode: 0,
                    pid: None,
                    idle: Idle::new(),
                    looks: 0,
                    now: Now::Feed,
                };
                self.connections.insert(number, observed);
                self.owners_sought_at = None;
            }
            Order::Calm { number } => {
                // Workers may have been started by now.
                self.owners_sought_at = None;
                if let Some(connection) = self.connections.get_mut(&number) {
                    (connection.idle, connection.now) = (Idle::new(), Now::Calm);
                }
            }
            Order::Feed { number } => {
                if let Some(connection) = self.connections.get_mut(&number) {
                    connection.now = Now::Feed;
                    connection.gauges.silent.store(false, Ordering::Release);
                }
            }
            Order::Stopped { number, stopped_at_ns, limits } => {
                if let Some(connection) = self.connections.get_mut(&number) {
                    let silence = Silence::new(stopped_at_ns, Some(&connection.idle), limits);
                    connection.now = Now::Silence(Box::new(silence));
                }
            }
            Order::Forget { number } => {
                if let Some(connection) = self.connections.remove(&number) {
                    connection.gauges.silent.store(false, Ordering::Release);
                }
                let used: Vec<u32> = self.connections.values().filter_map(|used| used.pid).collect();
                self.processes.retain(|pid, _| used.contains(pid));
            }
            Order::End => {
                // Nobody is to wait for findings that never come.
                let silent = |connection: &Observed| connection.gauges.silent.store(false, Ordering::Release);
                self.connections.values().for_each(silent);
                return false;
            }
        }
        true
    }

    fn rhythm(&self) -> Rhythm {
        let dense = self.connections.values().any(|connection| !matches!(connection.now, Now::Feed));
        if dense { Rhythm::Dense } else { Rhythm::Steady }
    }

    fn look(&mut self) {
        let memory_due = self.memory_seen_at.is_none_or(|last| last.elapsed() >= MEMORY_EVERY);
        if memory_due {
            self.memory_seen_at = Some(Instant::now());
        }
        // Before the queues: a client that is seen to rest and afterwards to have read everything did both.
        for process in self.processes.values_mut() {
            process.seen = process.watch.sample();
        }
        for connection in self.connections.values_mut() {
            let at_ns = self.origin.elapsed().as_nanos() as u64;
            let process = connection.pid.and_then(|pid| self.processes.get(&pid));
            connection.look(at_ns, self.diag.as_mut(), process.and_then(|process| process.seen));
            if memory_due && let Some(process) = process {
                set(&connection.gauges.resident_bytes, Some(process.watch.resident_bytes()));
            }
        }
        self.seek_owners();
    }

    /// Finds who is behind the connections, and processes that have joined them; not in the middle of a silence,
    /// in which it would take the time of several looks.
    fn seek_owners(&mut self) {
        let silent = self.connections.values().any(|connection| matches!(connection.now, Now::Silence(_)));
        if self.owners_sought_at.is_some_and(|last| silent || last.elapsed() < OWNERS_EVERY) {
            return;
        }
        let inodes: Vec<u32> = self
            .connections
            .values()
            .map(|connection| connection.inode)
            .filter(|&inode| inode != 0)
            .collect();
        if inodes.is_empty() {
            return;
        }
        self.owners_sought_at = Some(Instant::now());
        self.owners.refresh(&inodes);
        for connection in self.connections.values_mut() {
            let Some(owner) = self.owners.known(connection.inode) else { continue };
            match self.processes.get_mut(&owner.pid) {
                Some(process) => process.watch.add(&owner.pids),
                None => {
                    let Some(watch) = ProcessWatch::new(&owner.pids) else { continue };
                    self.processes.insert(owner.pid, Watched { watch, seen: None });
                }
            }
            connection.pid = Some(owner.pid);
            set(&connection.gauges.pid, Some(owner.pid.into()));
            *lock(&connection.gauges.name) = Some(owner.name.clone());
        }
    }
}

impl Observed {
    fn look(&mut self, at_ns: u64, diag: Option<&mut SocketDiag>, activity: Option<Activity>) {
        let gauges = &*self.gauges;
        // From our end to the other one: bytes that move on between the looks are seen twice rather than never.
        let our_queue = gauges.our_queue();
        let (mut our_kernel, mut client_queue) = (None, None);
        if let Some(diag) = diag {
            let queues = diag.queues(self.local, self.peer);
            our_kernel = queues.our_kernel;
            if let Some(peer) = queues.peer {
                client_queue = Some(peer.receive_queue.into());
                self.inode = peer.inode;
            }
        }
        set(&gauges.our_kernel, our_kernel);
        set(&gauges.client_queue, client_queue);
        set(&gauges.run_ns, activity.map(|activity| activity.run_ns));
        set(&gauges.voluntary_switches, activity.map(|activity| activity.voluntary_switches));
        set(&gauges.threads, activity.map(|activity| activity.threads.into()));
        match &mut self.now {
            Now::Feed => {}
            Now::Calm => {
                if let Some(activity) = activity {
                    self.idle.on_sample(at_ns, activity);
                    self.looks += 1;
                    if self.looks.is_multiple_of(JUDGED_EVERY) {
                        gauges.restless.store(self.idle.is_restless(), Ordering::Relaxed);
                    }
                }
            }
            Now::Silence(silence) => {
                let sample = Sample { at_ns, our_queue, our_kernel, client_queue, activity };
                if silence.on_sample(&sample) {
                    *lock(&gauges.finding) = Some(silence.finding());
                    gauges.silent.store(false, Ordering::Release);
                    self.now = Now::Feed;
                }
            }
        }
    }
}

const UNKNOWN: u64 = u64::MAX;

/// For processes that join a client later. It reads the open files of every process.
const OWNERS_EVERY: Duration = Duration::from_secs(2);

const MEMORY_EVERY: Duration = Duration::from_secs(1);

/// Looks from one judgement of what is idling to the next.
const JUDGED_EVERY: u32 = 20;

/// A round of looks is at most a third of the thread's time.
const LEAVE_ALONE: u32 = 3;

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use crate::observe::{Basis, Place};

    use super::*;

    fn wait_for<T>(mut done: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(done) = done() {
                return done;
            }
            assert!(start.elapsed() < Duration::from_secs(20));
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_silence_ends_in_a_finding_or_with_its_observer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let near = listener.accept().unwrap().0;
        let observer = Observer::start(Instant::now()).unwrap();
        let watch = observer.watch(near.local_addr().unwrap(), near.peer_addr().unwrap());
        let gauges = Arc::clone(watch.gauges());
        gauges.set_our_queue(10);
        let limits = SilenceLimits { longest: Duration::from_millis(50), rest: Duration::from_millis(10) };
        watch.stopped(0, limits);
        assert!(gauges.is_silent());
        let finding = wait_for(|| gauges.finding());
        assert_eq!((finding.basis, finding.place), (Basis::LowerBound, Some(Place::OurQueue)));
        assert!(finding.age_ns >= Some(50_000_000));
        wait_for(|| (!gauges.is_silent()).then_some(()));

        watch.stopped(0, SilenceLimits { longest: Duration::from_secs(3600), ..limits });
        assert_eq!((gauges.is_silent(), gauges.finding()), (true, None));
        watch.goes_on();
        wait_for(|| (!gauges.is_silent()).then_some(()));
        assert_eq!(gauges.finding(), None);

        watch.stopped(0, SilenceLimits { longest: Duration::from_secs(3600), ..limits });
        drop(observer);
        assert!(!gauges.is_silent());
        drop((watch, far));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_client_is_seen_until_its_connection_is_gone() {
        use std::io::Write as _;

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut near = listener.accept().unwrap().0;
        let observer = Observer::start(Instant::now()).unwrap();
        let watch = observer.watch(near.local_addr().unwrap(), near.peer_addr().unwrap());
        let gauges = watch.gauges();
        near.write_all(b"five!").unwrap();
        wait_for(|| (gauges.client_queue() == Some(5)).then_some(()));
        assert_eq!(wait_for(|| gauges.pid()), std::process::id());
        wait_for(|| gauges.run_ns().filter(|_| gauges.threads() > Some(1) && gauges.name().is_some()));
        wait_for(|| gauges.resident_bytes());
        drop((near, far));
        wait_for(|| gauges.client_queue().is_none().then_some(()));
    }
}
