//! The settings that the environment gives.

use std::{ffi::OsString, path::PathBuf};

use crate::resolve::{Given, Mistakes, Origin, is_flag_only, known, names, nearest};

/// What the `TICKSTORM_*` variables say.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    pub(crate) given: Vec<Given>,
    /// `TICKSTORM_CONFIG`: the configuration file where `--config` names none.
    pub(crate) config: Option<PathBuf>,
}

/// Picks our variables out of `variables`. An empty one counts as not set, as CI systems export it for an input that
/// was left blank; an unknown one is a mistake, because a misspelt setting would otherwise be ignored in silence.
pub(crate) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    mistakes: &mut Mistakes,
) -> Environment {
    let mut ours: Vec<(String, OsString)> = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty())
        .collect();
    ours.sort();

    let mut environment = Environment::default();
    for (name, value) in ours {
        let rest = &name[PREFIX.len()..];
        let setting = known(&rest.to_ascii_lowercase()).filter(|setting| variable(setting) == name);
        match (setting, value.into_string()) {
            (None, value) if rest == CONFIG => {
                environment.config = Some(value.map_or_else(Into::into, Into::into))
            }
            (None, _) => mistakes.add(Origin::Variable(name.clone()), unknown(rest)),
            (Some(_), Err(value)) => {
                let text = value.to_string_lossy().into_owned();
                mistakes.add(Origin::Variable(name), format!("expected text in UTF-8, got `{text}`"));
            }
            (Some(setting), Ok(text)) => {
                environment.given.push(Given { name: setting, text, origin: Origin::Variable(name) });
            }
        }
    }
    environment
}

/// The variable that gives the setting with this name.
pub(crate) fn variable(setting: &str) -> String {
    format!("{PREFIX}{}", setting.replace('-', "_").to_ascii_uppercase())
}

const PREFIX: &str = "TICKSTORM_";
const CONFIG: &str = "CONFIG";

fn unknown(rest: &str) -> String {
    let word = rest.to_ascii_lowercase().replace('_', "-");
    if word != "config" && is_flag_only(&word) {
        return format!("not read from the environment, use the flag --{word}");
    }
    match nearest(&word, names().chain(["config"])) {
        Some(name) => format!("unknown setting, the nearest is {}", variable(name)),
        None => "unknown setting, `tickstorm --help` lists them all".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Refusal;

    #[test]
    fn variables_of_others_and_empty_ones_are_left_alone() {
        let (environment, complaints) = environment(&[
            ("HOME", "/root"),
            ("TICKSTORM_SEED", ""),
            ("TICKSTORM", "1"),
            ("TICKSTORM_SYMBOLS", "7"),
        ]);
        let given: Vec<_> = environment.given.iter().map(|given| (given.name, given.text.as_str())).collect();
        assert_eq!(given, [("symbols", "7")]);
        assert!(complaints.is_empty(), "{complaints:?}");
    }

    #[test]
    fn an_unknown_variable_is_a_mistake_that_names_the_nearest() {
        let (_, complaints) = environment(&[
            ("TICKSTORM_BASERATE", "1"),
            ("TICKSTORM_base_rate", "1"),
            ("TICKSTORM_CONFG", "x"),
            ("TICKSTORM_OUTPUT", "x"),
            ("TICKSTORM_QQQ", "x"),
        ]);
        assert_eq!(
            complaints,
            [
                "TICKSTORM_BASERATE: unknown setting, the nearest is TICKSTORM_BASE_RATE",
                "TICKSTORM_CONFG: unknown setting, the nearest is TICKSTORM_CONFIG",
                "TICKSTORM_OUTPUT: not read from the environment, use the flag --output",
                "TICKSTORM_QQQ: unknown setting, `tickstorm --help` lists them all",
                "TICKSTORM_base_rate: unknown setting, the nearest is TICKSTORM_BASE_RATE",
            ]
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_a_mistake_unless_it_is_a_path() {
        use std::os::unix::ffi::OsStringExt;
        let garbage = OsString::from_vec(vec![b'x', 0xff]);
        let mut mistakes = Mistakes::default();
        let variables =
            [("TICKSTORM_SEED".into(), garbage.clone()), ("TICKSTORM_CONFIG".into(), garbage.clone())];
        let environment = read(variables, &mut mistakes);
        assert_eq!(environment.config, Some(garbage.into()));
        assert_eq!(
            Refusal::from(mistakes).complaints,
            ["TICKSTORM_SEED: expected text in UTF-8, got `x\u{fffd}`"]
        );
    }

    fn environment(variables: &[(&str, &str)]) -> (Environment, Vec<String>) {
        let mut mistakes = Mistakes::default();
        let environment =
            read(variables.iter().map(|(name, value)| (name.into(), value.into())), &mut mistakes);
        (environment, Refusal::from(mistakes).complaints)
    }
}
