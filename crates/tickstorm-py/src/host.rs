//! The Python end of a run: fetches calls on the user's event loop, or in threads, makes them, and says how they ended.

mod invocation;
mod pool;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use pyo3::{
    exceptions::{PyKeyboardInterrupt, PyNotImplementedError, PySystemExit, PyValueError},
    intern,
    prelude::*,
    types::{PyDict, PyList},
};
use tickstorm::{CallFailure, CallId, HostedCall, HostedCalls};

use crate::{
    message::{Dictionary, Form},
    wake::{Signal, Waker},
};
use invocation::Invocation;
use pool::Pool;

/// One run's target and the loop that it runs on. Used by that loop's thread, and by the pool's where there is one.
#[pyclass(frozen, module = "tickstorm._tickstorm")]
pub(crate) struct Host {
    pub(crate) calls: HostedCalls,
    pub(crate) waker: Arc<Waker>,
    target: Option<Py<PyAny>>,
    event_loop: Py<PyAny>,
    /// The context in which the run was started. No call sees what another one has set in its own.
    context: Py<PyAny>,
    /// That the loop has its turns in it, as keywords.
    turn_options: Py<PyDict>,
    /// Resolved when the run's result is there.
    done: Py<PyAny>,
    tasks: TaskMaker,
    form: Form,
    takes_lists: bool,
    place: Place,
    dictionary: OnceLock<Dictionary>,
    /// Calls that were started and did not end at once, by their first message; of those in threads all that have not
    /// ended.
    running: Mutex<HashMap<u64, Running>>,
    /// A call raised what ends the program: no more are started.
    has_risen: AtomicBool,
    /// What a call in a thread raised so, for the loop to raise.
    risen: Mutex<Option<PyErr>>,
    /// A turn of the loop was asked for and has not come.
    is_scheduled: AtomicBool,
    /// Whether the result is there.
    pub(crate) is_ready: AtomicBool,
    pool: Arc<Pool>,
    /// What the pool leaves to the loop.
    handed_over: Mutex<HandedOver>,
}

/// Where the target is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On the loop, which only makes a coroutine of it.
    Loop,
    /// On the loop, all of it.
    Inline,
    /// In threads; what it returns may still be awaited on the loop.
    Threads,
}

/// How a coroutine becomes a task.
enum TaskMaker {
    /// As the user's own task factory has it.
    Factory { create_task: Py<PyAny> },
    /// `Task(coroutine, **options)`.
    Direct { task: Py<PyAny>, options: Py<PyDict> },
}

#[derive(Default)]
struct Running {
    /// None as long as nothing of it is awaited.
    task: Option<Py<PyAny>>,
    is_given_up: bool,
}

#[derive(Default)]
struct HandedOver {
    awaitables: VecDeque<(CallId, Py<PyAny>)>,
    given_up: VecDeque<u64>,
}

#[pymethods]
impl Host {
    /// `place` is `"loop"` for a coroutine function, `"inline"` or `"threads"` for another callable; `form` `"dict"`,
    /// `"bytes"` or `"str"`. `context` is the one in which the run is started.
    #[new]
    #[pyo3(signature = (event_loop, target, *, place, form, takes_lists, context))]
    fn new(
        py: Python<'_>,
        event_loop: Bound<'_, PyAny>,
        target: Option<Py<PyAny>>,
        place: &str,
        form: &str,
        takes_lists: bool,
        context: Py<PyAny>,
    ) -> PyResult<Self> {
        let form = Form::named(form).ok_or_else(|| PyValueError::new_err(format!("no form {form:?}")))?;
        let place = match place {
            "loop" => Place::Loop,
            "inline" => Place::Inline,
            "threads" => Place::Threads,
            _ => return Err(PyValueError::new_err(format!("no place {place:?}"))),
        };
        let waker = Arc::new(new_waker(&event_loop)?);
        let pool = Arc::new(Pool::new());
        let wake = match place {
            Place::Loop | Place::Inline => {
                let waker = waker.clone();
                Box::new(move || waker.wake()) as Box<dyn Fn() + Send + Sync>
            }
            Place::Threads => {
                let pool = pool.clone();
                Box::new(move || pool.rouse())
            }
        };
        let turn_options = PyDict::new(py);
        turn_options.set_item("context", &context)?;
        Ok(Self {
            calls: HostedCalls::new(form.wordings(), wake),
            context,
            turn_options: turn_options.unbind(),
            waker,
            target,
            done: event_loop.call_method0("create_future")?.unbind(),
            tasks: TaskMaker::new(py, &event_loop)?,
            event_loop: event_loop.unbind(),
            form,
            takes_lists,
            place,
            dictionary: OnceLock::new(),
            running: Mutex::default(),
            has_risen: AtomicBool::new(false),
            risen: Mutex::default(),
            is_scheduled: AtomicBool::new(false),
            is_ready: AtomicBool::new(false),
            pool,
            handed_over: Mutex::default(),
        })
    }

    /// The future that is resolved when the run's result is there.
    #[getter]
    fn done<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.done.bind(py)
    }

    /// Has the loop listen.
    fn attach(slf: &Bound<'_, Self>) -> PyResult<()> {
        let host = slf.get();
        let turn = slf.getattr(intern!(slf.py(), "turn"))?;
        match &*host.waker {
            #[cfg(unix)]
            Waker::Descriptor(descriptor) => {
                host.event_loop.call_method1(slf.py(), "add_reader", (descriptor.number(), turn))?;
            }
            Waker::Thread(signal) => {
                let call_soon = host.event_loop.getattr(slf.py(), "call_soon_threadsafe")?;
                let signal = signal.clone();
                let turn = turn.unbind();
                std::thread::Builder::new()
                    .name("tickstorm-wake".into())
                    .spawn(move || signal.serve(call_soon, turn))?;
            }
        }
        if host.place == Place::Threads {
            Pool::grow(slf)?;
        }
        Ok(())
    }

    /// Has the loop listen no more.
    fn detach(&self, py: Python<'_>) -> PyResult<()> {
        self.waker.end();
        #[cfg(unix)]
        if let Waker::Descriptor(descriptor) = &*self.waker
            && !self.event_loop.call_method0(py, "is_closed")?.extract::<bool>(py)?
        {
            self.event_loop.call_method1(py, "remove_reader", (descriptor.number(),))?;
        }
        Ok(())
    }

    /// A turn on the loop: starts what is due, so much of it that the loop's other callbacks have their turn too.
    fn turn(slf: &Bound<'_, Self>) -> PyResult<()> {
        let host = slf.get();
        host.waker.clear();
        host.is_scheduled.store(false, Relaxed);
        let is_on_loop = host.place != Place::Threads;
        if is_on_loop {
            host.calls.come();
        }
        host.cancel_what_is_given_up(slf.py())?;
        if host.calls.is_over() {
            host.cancel_all(slf.py())?;
        }
        host.start_what_was_handed_over(slf)?;
        if is_on_loop && !host.has_risen.load(Relaxed) {
            for _ in 0..MOST_A_TURN {
                let Some(call) = host.calls.take() else { break };
                host.start(slf, call)?;
            }
            if host.calls.has_more() {
                Self::schedule(slf)?;
            }
        }
        if host.is_ready.load(Relaxed) && !host.done.call_method0(slf.py(), "done")?.extract(slf.py())? {
            host.done.call_method1(slf.py(), "set_result", (slf.py().None(),))?;
        }
        let risen = host.risen.lock().unwrap_or_else(PoisonError::into_inner).take();
        risen.map_or(Ok(()), Err)
    }

    /// A thread of the pool: makes calls until the run is over.
    fn serve(slf: &Bound<'_, Self>) -> PyResult<()> {
        Pool::serve(slf)
    }

    /// Tasks of calls that have not ended.
    fn tasks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.all_tasks(py))
    }

    /// Messages whose calls have not ended.
    #[getter]
    fn under_way(&self) -> u64 {
        self.calls.under_way()
    }
}

impl Host {
    /// To be called before the run starts.
    pub(crate) fn set_dictionary(&self, dictionary: Dictionary) -> Result<(), Dictionary> {
        self.dictionary.set(dictionary)
    }

    fn argument<'py>(&self, py: Python<'py>, call: &HostedCall) -> PyResult<Bound<'py, PyAny>> {
        let dictionary = self.dictionary.get().expect("the run was started with it");
        dictionary.argument(py, &call.content, self.form, self.takes_lists)
    }

    /// Calls the target in a copy of the run's context.
    fn call_in_context<'py>(
        &self,
        py: Python<'py>,
        id: CallId,
        argument: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let context = self.context.bind(py).call_method0(intern!(py, "copy"))?;
        self.calls.begin(id);
        context.call_method1(intern!(py, "run"), (self.target(), argument))
    }

    fn target(&self) -> &Py<PyAny> {
        self.target.as_ref().expect("only a run with a target makes calls")
    }

    /// Calls the target, and has the loop await what it returns if that is to be awaited. An error is one that no target
    /// may keep from the loop.
    fn start(&self, slf: &Bound<'_, Self>, call: HostedCall) -> PyResult<()> {
        let py = slf.py();
        let id = call.id;
        let returned = self.argument(py, &call).and_then(|argument| match self.place {
            // This only makes a coroutine, which begins with its first step.
            Place::Loop => self.target().bind(py).call1((argument,)),
            Place::Inline | Place::Threads => self.call_in_context(py, id, argument),
        });
        match returned {
            Ok(value) => self.follow(slf, id, value),
            Err(error) => {
                self.calls.end(id, Err(failure(py, &error)));
                if !must_rise(py, &error) {
                    return Ok(());
                }
                self.has_risen.store(true, Relaxed);
                Err(error)
            }
        }
    }

    /// Awaits what a call returned, or takes it for the answer.
    fn follow(&self, slf: &Bound<'_, Self>, id: CallId, returned: Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let steps = match invocation::steps(&returned) {
            Ok(Some(steps)) => steps,
            Ok(None) => {
                self.end_unawaited(id, answer(&returned));
                return Ok(());
            }
            Err(error) => {
                self.end_unawaited(id, Err(failure(py, &error)));
                return Ok(());
            }
        };
        let invocation = Bound::new(py, Invocation::new(slf.clone().unbind(), id, steps))?;
        let task = match self.tasks.make(invocation.as_any()) {
            Ok(task) => task,
            Err(error) => {
                // The first step was made in there, and it may have raised what no target may keep from the loop.
                if !invocation.get().has_ended() {
                    self.end_unawaited(id, Err(failure(py, &error)));
                }
                return Err(error);
            }
        };
        if invocation.get().has_ended() {
            return Ok(());
        }
        let is_given_up = {
            let mut running = self.running();
            let running = running.entry(id.first).or_default();
            running.task = Some(task.clone().unbind());
            running.is_given_up
        };
        // Its timeout may have passed before the loop came to it.
        if is_given_up {
            task.call_method0(intern!(py, "cancel"))?;
        }
        Ok(())
    }

    /// A call has ended of which nothing was awaited.
    fn end_unawaited(&self, id: CallId, outcome: Result<(), CallFailure>) {
        if self.place == Place::Threads {
            self.running().remove(&id.first);
        }
        self.calls.end(id, outcome);
    }

    /// A call that was awaited has ended. `cancelled` says that it ended by being cancelled.
    fn ended(
        slf: &Bound<'_, Self>,
        id: CallId,
        outcome: Result<(), CallFailure>,
        cancelled: bool,
    ) -> PyResult<()> {
        let host = slf.get();
        let running = host.running().remove(&id.first);
        let is_given_up = running.as_ref().is_some_and(|running| running.is_given_up);
        let frees_a_slot =
            if is_given_up && cancelled { host.calls.end_given_up(id) } else { host.calls.end(id, outcome) };
        if frees_a_slot {
            match host.place {
                Place::Loop | Place::Inline => Self::schedule(slf)?,
                Place::Threads => host.pool.rouse(),
            }
        }
        Ok(())
    }

    /// A call in a thread, where nobody above would hear of it, raised what ends the program: the loop raises it.
    fn rise(&self, error: PyErr) {
        // One ends the program as well as many.
        self.risen.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.has_risen.store(true, Relaxed);
        self.waker.wake();
    }

    fn cancel_what_is_given_up(&self, py: Python<'_>) -> PyResult<()> {
        loop {
            let handed_over = self.handed_over().given_up.pop_front();
            let ordinal = match self.place {
                Place::Loop | Place::Inline => self.calls.take_given_up(),
                Place::Threads => handed_over,
            };
            let Some(ordinal) = ordinal else { return Ok(()) };
            let task = self.running().get_mut(&ordinal).and_then(|running| {
                running.is_given_up = true;
                running.task.as_ref().map(|task| task.clone_ref(py))
            });
            if let Some(task) = task {
                task.call_method0(py, intern!(py, "cancel"))?;
            }
        }
    }

    fn cancel_all(&self, py: Python<'_>) -> PyResult<()> {
        for task in self.all_tasks(py) {
            task.call_method0(py, intern!(py, "cancel"))?;
        }
        Ok(())
    }

    fn all_tasks(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        let running = self.running();
        running.values().filter_map(|running| running.task.as_ref()).map(|task| task.clone_ref(py)).collect()
    }

    fn start_what_was_handed_over(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        loop {
            let handed_over = self.handed_over().awaitables.pop_front();
            let Some((id, awaitable)) = handed_over else { return Ok(()) };
            self.follow(slf, id, awaitable.into_bound(slf.py()))?;
        }
    }

    /// Asks for another turn once what else the loop has to do was done.
    fn schedule(slf: &Bound<'_, Self>) -> PyResult<()> {
        if !slf.get().is_scheduled.swap(true, Relaxed) {
            let turn = slf.getattr(intern!(slf.py(), "turn"))?;
            // Without it the turn would be in the context of the call that has just ended.
            let options = slf.get().turn_options.bind(slf.py());
            let call_soon = slf.get().event_loop.bind(slf.py()).getattr(intern!(slf.py(), "call_soon"))?;
            call_soon.call((turn,), Some(options))?;
        }
        Ok(())
    }

    // No lock is held over a call into Python.

    fn running(&self) -> MutexGuard<'_, HashMap<u64, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handed_over(&self) -> MutexGuard<'_, HandedOver> {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskMaker {
    fn new(py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        if !event_loop.call_method0("get_task_factory")?.is_none() {
            return Ok(Self::Factory { create_task: event_loop.getattr("create_task")?.unbind() });
        }
        let options = PyDict::new(py);
        options.set_item("loop", event_loop)?;
        // Python 3.11 writes a number into the name of each task that has none.
        options.set_item("name", "tickstorm-call")?;
        if py.version_info() >= (3, 12) {
            options.set_item("eager_start", true)?;
        }
        let task = py.import("asyncio")?.getattr("Task")?.unbind();
        Ok(Self::Direct { task, options: options.unbind() })
    }

    fn make<'py>(&self, coroutine: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = coroutine.py();
        match self {
            Self::Factory { create_task } => create_task.bind(py).call1((coroutine,)),
            Self::Direct { task, options } => task.bind(py).call((coroutine,), Some(options.bind(py))),
        }
    }
}

/// A descriptor where the loop watches any, else a thread.
fn new_waker(event_loop: &Bound<'_, PyAny>) -> PyResult<Waker> {
    #[cfg(unix)]
    {
        let descriptor = crate::wake::Descriptor::new()?;
        // A loop says that it cannot by raising, and only when it is asked to.
        let nothing = event_loop.py().eval(c"lambda: None", None, None)?;
        match event_loop.call_method1("add_reader", (descriptor.number(), nothing)) {
            Ok(_) => {
                event_loop.call_method1("remove_reader", (descriptor.number(),))?;
                return Ok(Waker::Descriptor(descriptor));
            }
            Err(error) if error.is_instance_of::<PyNotImplementedError>(event_loop.py()) => {}
            Err(error) => return Err(error),
        }
    }
    let _ = (event_loop, std::marker::PhantomData::<PyNotImplementedError>);
    Ok(Waker::Thread(Arc::<Signal>::default()))
}

/// Whether a call that returned this has processed its message: nothing at all is as good as true.
pub(crate) fn answer(returned: &Bound<'_, PyAny>) -> Result<(), CallFailure> {
    if returned.is_none() {
        return Ok(());
    }
    if let Some(kind) = invocation::unrun(returned) {
        let text = format!("the call returned {kind}, of which nothing was run");
        return Err(CallFailure::Error { kind: "TypeError".into(), text });
    }
    match returned.is_truthy() {
        Ok(true) => Ok(()),
        Ok(false) => Err(CallFailure::Rejected),
        Err(error) => Err(failure(returned.py(), &error)),
    }
}

/// An exception as it is counted: by the name of its type, with the first of its words.
pub(crate) fn failure(py: Python<'_>, error: &PyErr) -> CallFailure {
    let name = error.get_type(py).getattr(intern!(py, "__name__")).and_then(|name| name.extract::<String>());
    let text = error.value(py).str().map(|text| text.to_string_lossy().into_owned());
    CallFailure::Error {
        kind: name.unwrap_or_else(|_| "Exception".into()),
        text: text.unwrap_or_default().chars().take(SAMPLE_CHARS).collect(),
    }
}

/// What ends the program must not end in a count.
pub(crate) fn must_rise(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyKeyboardInterrupt>(py) || error.is_instance_of::<PySystemExit>(py)
}

/// Calls started before the loop's other callbacks have their turn.
const MOST_A_TURN: usize = 128;

const SAMPLE_CHARS: usize = 300;
