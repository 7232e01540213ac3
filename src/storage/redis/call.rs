//! What is asked of the server in one go.

use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind};

use super::scripts::Script;

/// A command, or a script that the server may not know yet.
pub(super) struct Call {
    cmd: Cmd,
    script: Option<&'static Script>,
}

impl Call {
    pub(super) fn script(script: &'static Script, keys: &[&str], arguments: &[&[u8]]) -> Self {
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(&script.hash).arg(keys.len()).arg(keys).arg(arguments);
        Self { cmd, script: Some(script) }
    }
}

impl From<Cmd> for Call {
    fn from(cmd: Cmd) -> Self {
        Self { cmd, script: None }
    }
}

/// Calls that are sent together. Each gets a reply of its own.
pub(super) struct Calls {
    pipeline: Pipeline,
    scripts: Vec<(usize, &'static Script)>,
}

impl Calls {
    pub(super) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    pub(super) fn len(&self) -> usize {
        self.pipeline.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pipeline.is_empty()
    }

    /// The scripts among them, by their place.
    pub(super) fn scripts(&self) -> impl Iterator<Item = (usize, Self)> {
        self.scripts.iter().filter_map(|&(place, script)| {
            let mut cmd = redis::cmd("EVAL");
            cmd.arg(&script.code);
            for argument in self.pipeline.cmd_iter().nth(place)?.args_iter().skip(2) {
                if let Arg::Simple(argument) = argument {
                    cmd.arg(argument);
                }
            }
            Some((place, Self::from_iter([Call::from(cmd)])))
        })
    }
}

impl<C: Into<Call>> FromIterator<C> for Calls {
    fn from_iter<I: IntoIterator<Item = C>>(calls: I) -> Self {
        let calls = calls.into_iter();
        let mut pipeline = Pipeline::with_capacity(calls.size_hint().0);
        pipeline.ignore_errors();
        let mut scripts = Vec::new();
        for (place, call) in calls.enumerate() {
            let Call { cmd, script } = call.into();
            scripts.extend(script.map(|script| (place, script)));
            pipeline.add_command(cmd);
        }
        Self { pipeline, scripts }
    }
}

impl<C: Into<Call>, const N: usize> From<[C; N]> for Calls {
    fn from(calls: [C; N]) -> Self {
        calls.into_iter().collect()
    }
}

/// Whether the server has to be sent the whole script.
pub(super) fn is_unknown_script(cause: &RedisError) -> bool {
    cause.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
