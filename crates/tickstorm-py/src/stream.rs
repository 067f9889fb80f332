//! Messages without a target.

use std::time::Duration;

use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict, types::PyList};
use tickstorm::{Factor, Plan, Rate, Spec, Target, WebSocketMessageGenerator};

use crate::{
    engine::set,
    message::{Dictionary, Form, worded},
};

/// An iterator over a market's messages.
#[pyclass(module = "tickstorm._tickstorm")]
pub(crate) struct Messages {
    messages: WebSocketMessageGenerator,
    dictionary: Dictionary,
    form: Form,
    buffer: Vec<u8>,
    /// Due time of the last message, ns since the start.
    due_ns: u64,
}

#[pymethods]
impl Messages {
    /// `settings` are pairs of an argument, for error messages, the name of a setting and its value as text.
    #[new]
    fn new(py: Python<'_>, settings: Vec<(String, String, String)>, form: &str) -> PyResult<Self> {
        let form = Form::named(form).ok_or_else(|| PyValueError::new_err(format!("no form {form:?}")))?;
        let mut spec = Spec {
            base_rate: Rate::per_second(1000).expect("1000/s is a rate"),
            multiplier: Factor::ONE,
            duration: Some(ENDLESS),
            arrivals: Some("bursty".parse().expect("normal is a preset")),
            ..Spec::default()
        };
        for (argument, name, text) in &settings {
            set(&mut spec, argument, name, text)?;
        }
        let plan = Plan::new(&spec, &Target::default())
            .map_err(|errors| PyValueError::new_err(errors.to_string()))?;
        let dictionary = Dictionary::new(py, &plan.market().listing);
        let messages = py.detach(|| WebSocketMessageGenerator::of_plan(&plan));
        Ok(Self { messages, dictionary, form, buffer: Vec::new(), due_ns: 0 })
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.form {
            Form::Dict => {
                let Some(message) = self.messages.market_messages().next() else { return Ok(None) };
                self.due_ns = message.due_ns;
                Ok(Some(self.dictionary.message(py, &message)?.into_any()))
            }
            Form::Bytes | Form::Text => {
                self.buffer.clear();
                let Some(due) = self.messages.write_next(&mut self.buffer) else { return Ok(None) };
                self.due_ns = due.as_nanos() as u64;
                worded(py, &self.buffer, self.form).map(Some)
            }
        }
    }

    /// The next messages, up to so many, as a list.
    fn take<'py>(&mut self, py: Python<'py>, count: usize) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for _ in 0..count {
            let Some(message) = self.__next__(py)? else { break };
            list.append(message)?;
        }
        Ok(list)
    }

    /// Due time of the last message, ns since the start.
    #[getter]
    fn due_ns(&self) -> u64 {
        self.due_ns
    }

    /// Names of the instruments, busiest first.
    #[getter]
    fn symbols<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.dictionary.symbols(py)
    }

    /// The book of a symbol after the last message; none of a symbol that is not there.
    fn snapshot<'py>(&self, py: Python<'py>, symbol: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(symbol) = self.dictionary.symbol(py, symbol) else { return Ok(None) };
        let snapshot = self.messages.snapshot(symbol.0);
        snapshot.map(|snapshot| self.dictionary.snapshot(py, &snapshot)).transpose()
    }
}

/// The longest run there is.
const ENDLESS: Duration = Duration::from_secs(30 * 86_400);
