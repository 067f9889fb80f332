//! A coroutine around the target's own, through which a task drives it: it passes everything on and notes how it ends,
//! which costs much less than a callback of the task.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyo3::{
    exceptions::{PyBaseException, PyStopIteration},
    ffi, intern,
    prelude::*,
    sync::PyOnceLock,
    types::{PyBool, PyType},
};
use tickstorm::CallId;

use super::{Host, answer, failure, must_rise};

/// One call that is awaited. It is only ever stepped by a task, so that whatever needs one works in the target.
#[pyclass(frozen, module = "tickstorm._tickstorm")]
pub(crate) struct Invocation {
    host: Py<Host>,
    id: CallId,
    /// The target's coroutine, or the iterator of another awaitable.
    steps: Py<PyAny>,
    has_begun: AtomicBool,
    has_ended: AtomicBool,
}

/// What is stepped to await an object; none if it is not to be awaited.
pub(super) fn steps<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if is_coroutine(object) {
        return Ok(Some(object.clone()));
    }
    if !is_awaitable(object) {
        return Ok(None);
    }
    object.call_method0(intern!(object.py(), "__await__")).map(Some)
}

/// Whether an object is to be awaited.
pub(super) fn is_awaitable(object: &Bound<'_, PyAny>) -> bool {
    if is_coroutine(object) {
        return true;
    }
    if object.is_none() || object.is_exact_instance_of::<PyBool>() {
        return false;
    }
    // An awaitable has the method in its type, not in itself.
    object.get_type().hasattr(intern!(object.py(), "__await__")).unwrap_or(false)
}

/// What an object is if it is a function's body that waits to be run.
pub(super) fn unrun(object: &Bound<'_, PyAny>) -> Option<&'static str> {
    static GENERATOR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static ASYNC_GENERATOR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    if object.is_exact_instance_of::<PyBool>() {
        None
    } else if is_coroutine(object) {
        Some("a coroutine")
    } else if is_exactly(object, &GENERATOR, "GeneratorType") {
        Some("a generator")
    } else if is_exactly(object, &ASYNC_GENERATOR, "AsyncGeneratorType") {
        Some("an asynchronous generator")
    } else {
        None
    }
}

fn is_coroutine(object: &Bound<'_, PyAny>) -> bool {
    static COROUTINE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    is_exactly(object, &COROUTINE, "CoroutineType")
}

/// Whether an object is of this type of the module `types`, and of none below.
fn is_exactly(object: &Bound<'_, PyAny>, cell: &PyOnceLock<Py<PyType>>, name: &str) -> bool {
    let kind = cell.import(object.py(), "types", name);
    kind.is_ok_and(|kind| object.is_exact_instance(kind))
}

fn is_cancellation(py: Python<'_>, error: &PyErr) -> bool {
    static CANCELLED: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let cancelled = CANCELLED.import(py, "asyncio", "CancelledError");
    cancelled.is_ok_and(|cancelled| error.is_instance(py, cancelled))
}

impl Invocation {
    pub(super) fn new(host: Py<Host>, id: CallId, steps: Bound<'_, PyAny>) -> Self {
        Self {
            host,
            id,
            steps: steps.unbind(),
            has_begun: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Relaxed)
    }

    /// The target's coroutine returned.
    fn returned(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if !self.has_ended.swap(true, Relaxed) {
            Host::ended(self.host.bind(value.py()), self.id, answer(value), false)?;
        }
        Ok(())
    }

    /// The target's coroutine raised. Two kinds are handed on: cancellation, because the task must hear of it, and what
    /// ends the program. Others are counted, and that is their end.
    fn raised(&self, py: Python<'_>, error: PyErr) -> PyResult<()> {
        let cancelled = is_cancellation(py, &error);
        let rises = must_rise(py, &error);
        if rises {
            self.host.get().has_risen.store(true, Relaxed);
        }
        if !self.has_ended.swap(true, Relaxed) {
            Host::ended(self.host.bind(py), self.id, Err(failure(py, &error)), cancelled)?;
        }
        if cancelled || rises { Err(error) } else { Ok(()) }
    }

    /// Goes on to the next thing to wait for, which is returned, or to the end.
    fn step<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = value.py();
        if !self.has_begun.swap(true, Relaxed) && !self.host.get().calls.begin(self.id) {
            // Nobody waits for it any more, so its body is not run.
            return self.close(py).map(|()| None);
        }
        let mut result = std::ptr::null_mut();
        // SAFETY: both pointers are to live objects, and we are attached; the result, if there is one, is a new reference.
        let (sent, result) = unsafe {
            let sent = ffi::PyIter_Send(self.steps.as_ptr(), value.as_ptr(), &mut result);
            (sent, Bound::from_owned_ptr_or_opt(py, result))
        };
        match (sent, result) {
            (ffi::PySendResult::PYGEN_NEXT, Some(waits_for)) => Ok(Some(waits_for)),
            (ffi::PySendResult::PYGEN_RETURN, Some(value)) => self.returned(&value).map(|()| None),
            _ => self.raised(py, PyErr::fetch(py)).map(|()| None),
        }
    }
}

#[pymethods]
impl Invocation {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.step(py.None().bind(py))
    }

    fn send<'py>(&self, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.step(&value)?.ok_or_else(|| PyStopIteration::new_err(()))
    }

    #[pyo3(signature = (kind, value=None, traceback=None))]
    fn throw<'py>(
        &self,
        py: Python<'py>,
        kind: Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
        traceback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let throw = self.steps.bind(py).getattr_opt(intern!(py, "throw"))?;
        let thrown = match (throw, value, traceback) {
            (Some(throw), None, None) => throw.call1((kind,)),
            (Some(throw), value, traceback) => throw.call1((kind, value, traceback)),
            // An iterator that takes no exceptions ends by one.
            (None, Some(error), _) => Err(PyErr::from_value(error)),
            (None, None, _) if kind.is_instance_of::<PyBaseException>() => Err(PyErr::from_value(kind)),
            (None, None, _) => Err(PyErr::from_value(kind.call0()?)),
        };
        match thrown {
            Ok(waits_for) => Ok(waits_for),
            Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
                self.returned(&error.value(py).getattr(intern!(py, "value"))?)?;
                Err(PyStopIteration::new_err(()))
            }
            Err(error) => {
                self.raised(py, error)?;
                Err(PyStopIteration::new_err(()))
            }
        }
    }

    /// The task was dropped unfinished.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let closed = match self.steps.bind(py).getattr_opt(intern!(py, "close"))? {
            Some(close) => close.call0().map(drop),
            None => Ok(()),
        };
        if !self.has_ended.swap(true, Relaxed) {
            let error = pyo3::exceptions::PyGeneratorExit::new_err("the call was dropped unfinished");
            Host::ended(self.host.bind(py), self.id, Err(failure(py, &error)), false)?;
        }
        closed
    }

    /// What tracebacks and debuggers ask a coroutine: its name, its frame, what it awaits.
    fn __getattr__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.steps.bind(py).getattr(name)
    }
}
