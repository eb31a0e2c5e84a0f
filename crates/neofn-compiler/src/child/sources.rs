//! Hands the bundler its sources on the thread that asks. Through the file system each one would go over another thread
//! and back, which on a busy machine costs more than compiling it.

use super::project::{ProjectFs, relative};
use rolldown_plugin::{
    HookLoadArgs, HookLoadOutput, HookLoadReturn, HookUsage, Plugin, SharedLoadPluginContext,
};
use std::borrow::Cow;

#[derive(Debug)]
pub(crate) struct Sources(pub ProjectFs);

impl Plugin for Sources {
    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("neofn:sources")
    }
    fn register_hook_usage(&self) -> HookUsage {
        HookUsage::Load
    }
    async fn load(&self, _ctx: SharedLoadPluginContext, args: &HookLoadArgs<'_>) -> HookLoadReturn {
        let text = relative(args.id).and_then(|path| self.0.text(path));
        Ok(text.map(|text| HookLoadOutput {
            code: text.as_ref().into(),
            ..HookLoadOutput::default()
        }))
    }
}
