//! The JavaScript engine of a sandbox child: versions, their live instances, and the choice of a layout.

use super::call::{Running, Seat};
use super::host::Run;
use super::image::{Base, Delta, ImageError, is_memory_size};
use super::instance::{Instance, Maker};
use super::live::{Image, Resetter, map_over};
use super::{CallInput, Cleanup, CompletedCore, Finished, Interrupt, Step, artefact, failure};
use crate::port::{Failure, Layout};
use bytes::Bytes;
use neofn_gas::{Meter, SCHEDULE_V1};
use neofn_types::{Code, Digest, Units, UnitsBill, UnixMillis};
use parking_lot::Mutex;
use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// What a child gives its engine.
pub struct EngineOptions {
    /// [`artefact::EngineFiles::module`]. Mapped; must never change.
    pub module: File,
    /// [`artefact::EngineFiles::base`].
    pub base: File,
    /// `/proc/self/pagemap`, opened by this process. Without it no version can be promoted.
    pub pagemap: Option<OwnedFd>,
    /// Pooled instances at the same time, parked ones included.
    pub slots: u32,
    /// Live instances at the same time, all versions together.
    pub live_max: u32,
    /// Idle live instances kept of one version.
    pub live_idle_max: u32,
}

/// Why an engine or a version could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A damaged or foreign image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// From wasmtime.
    #[error("load the JavaScript engine: {0:#}")]
    Engine(wasmtime::Error),
    /// From the kernel.
    #[error("load the JavaScript engine: {0}")]
    Io(#[from] std::io::Error),
    /// There is no page map.
    #[error("this process cannot see which pages were written, so it has no live instances")]
    NoPagemap,
}

impl From<wasmtime::Error> for LoadError {
    fn from(e: wasmtime::Error) -> Self {
        Self::Engine(e)
    }
}

/// One per child. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

pub(super) struct Inner {
    identity: Digest,
    pub(super) base: Base,
    pooled: Maker,
    mapped: Maker,
    pagemap: Option<OwnedFd>,
    live: AtomicU32,
    live_max: u32,
    live_idle_max: usize,
}

/// A loaded version. Cheap to clone.
#[derive(Clone)]
pub struct Version(Arc<Loaded>);

struct Loaded {
    delta: Delta,
    hot: Mutex<Option<Arc<Hot>>>,
}

/// A promoted version's image and the instances that wait for work.
pub(super) struct Hot {
    image: Arc<Image>,
    idle: Mutex<Vec<LiveInstance>>,
    retired: AtomicBool,
}

/// An instance that maps a version's image.
pub(super) struct LiveInstance {
    pub(super) instance: Instance,
    _counted: Counted,
}

/// Counts live instances for as long as they exist.
struct Counted(Arc<Inner>);
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

thread_local! {
    static RESETTER: RefCell<Resetter> = RefCell::new(Resetter::new());
}

impl Engine {
    /// Loads the compiled engine into both layouts.
    pub fn load(options: EngineOptions) -> Result<Self, LoadError> {
        let mut base = Vec::new();
        let mut file = &options.base;
        file.read_to_end(&mut base)?;
        Ok(Self(Arc::new(Inner {
            identity: artefact::identity(),
            base: Base::parse(&base)?,
            pooled: Maker::pooled(&options.module, options.slots)?,
            mapped: Maker::mapped(&options.module)?,
            pagemap: options.pagemap,
            live: AtomicU32::new(0),
            live_max: options.live_max,
            live_idle_max: options.live_idle_max as usize,
        })))
    }
    /// Lets running code look at its interrupt. To be called every few milliseconds.
    pub fn tick(&self) {
        self.0.pooled.engine.increment_epoch();
        self.0.mapped.engine.increment_epoch();
    }
    /// Reads an artifact.
    pub fn version(&self, artifact: &[u8]) -> Result<Version, LoadError> {
        Ok(Version(Arc::new(Loaded {
            delta: Delta::parse(artifact, self.0.identity, &self.0.base)?,
            hot: Mutex::new(None),
        })))
    }
    /// Serves a version by live instances from here on. `image` comes from [`super::image::write_memfd`].
    pub fn promote(&self, version: &Version, image: OwnedFd) -> Result<(), LoadError> {
        if self.0.pagemap.is_none() {
            return Err(LoadError::NoPagemap);
        }
        let image = Arc::new(Image::map(image, version.0.delta.image_bytes)?);
        let hot = Arc::new(Hot {
            image,
            idle: Mutex::new(Vec::new()),
            retired: AtomicBool::new(false),
        });
        retire(version.0.hot.lock().replace(hot));
        Ok(())
    }
    /// Serves a version by the pool again. Runs under way end as they began.
    pub fn demote(&self, version: &Version) {
        retire(version.0.hot.lock().take());
    }
    /// Live instances, idle, running and parked.
    #[must_use]
    pub fn live(&self) -> u32 {
        self.0.live.load(Ordering::Relaxed)
    }
    /// Runs a call until it is done or waits.
    #[must_use]
    pub fn start(&self, version: &Version, input: CallInput, interrupt: &Interrupt) -> Step {
        let meter = match Meter::new(&SCHEDULE_V1, Units(input.units)) {
            Ok(meter) => meter,
            Err(over) => return refused(failure::plain(Code::UnitLimit, over.to_string()), input.units),
        };
        interrupt.arm(input.deadline);
        // the pages of the version are copied in, or may all be written
        let own = u64::try_from(version.bytes()).unwrap_or(u64::MAX);
        if interrupt.begin(own).is_err() {
            return refused(failure::evicted(), 0);
        }
        let (instance, seat) = match self.seat(version) {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "no sandbox for a call");
                let failure = failure::plain(Code::Overloaded, "the node has no free sandbox");
                return refused(failure, 0);
            }
        };
        Running::new(instance, seat, meter).start(input, interrupt)
    }

    fn seat(&self, version: &Version) -> wasmtime::Result<(Instance, Seat)> {
        let hot = version.0.hot.lock().clone();
        if let Some(hot) = hot
            && let Some(live) = self.live_instance(&hot)
        {
            let LiveInstance { instance, _counted } = live;
            let seat = Seat::Live(LiveSeat {
                engine: self.0.clone(),
                hot,
                _counted,
            });
            return Ok((instance, seat));
        }
        let mut instance = self.0.pooled.make()?;
        let memory = instance.memory.data_mut(&mut instance.store);
        for (at, run) in &version.0.delta.runs {
            if let Some(target) = memory.get_mut(*at..at.saturating_add(run.len())) {
                target.copy_from_slice(run);
            }
        }
        instance.set_stack_pointer(self.0.base.stack_pointer)?;
        Ok((instance, Seat::Pooled))
    }

    /// An idle one, or a new one if there may be more; the pool serves the call otherwise.
    fn live_instance(&self, hot: &Arc<Hot>) -> Option<LiveInstance> {
        if let Some(idle) = hot.idle.lock().pop() {
            return Some(idle);
        }
        if self.0.live.fetch_add(1, Ordering::Relaxed) >= self.0.live_max {
            self.0.live.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let counted = Counted(self.0.clone());
        match self.make_live(hot) {
            Ok(instance) => Some(LiveInstance {
                instance,
                _counted: counted,
            }),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "no live instance");
                None
            }
        }
    }

    fn make_live(&self, hot: &Hot) -> wasmtime::Result<Instance> {
        let mut instance = self.0.mapped.make()?;
        map_over(instance.memory.data_mut(&mut instance.store), &hot.image)?;
        instance.set_stack_pointer(self.0.base.stack_pointer)?;
        Ok(instance)
    }

    /// Evaluates a bundled module under `fuel` and `time`. Answers the artifact, or why it was refused, and its
    /// console lines.
    pub fn prepare(
        &self,
        code: &[u8],
        memory_bytes: u64,
        fuel: u64,
        time: Duration,
        interrupt: &Interrupt,
    ) -> (Result<Vec<u8>, Failure>, Vec<String>) {
        let mut logs = Vec::new();
        let made = self.evaluate(code, memory_bytes, fuel, time, interrupt, &mut logs);
        (made, logs)
    }

    fn evaluate(
        &self,
        code: &[u8],
        memory_bytes: u64,
        fuel: u64,
        time: Duration,
        interrupt: &Interrupt,
        logs: &mut Vec<String>,
    ) -> Result<Vec<u8>, Failure> {
        let internal = |what: &str| failure::plain(Code::Internal, what);
        if !is_memory_size(memory_bytes) {
            return Err(internal("the memory size is not one that the engine has"));
        }
        let sizes = u32::try_from(code.len())
            .ok()
            .zip(u32::try_from(memory_bytes).ok());
        let (size, memory_max) = sizes.ok_or_else(|| internal("the code is too large"))?;
        let mut instance = self.0.mapped.make().map_err(|error| {
            tracing::warn!(error = format!("{error:#}"), "no sandbox for loading");
            failure::plain(Code::Overloaded, "the node has no free sandbox")
        })?;
        interrupt.arm(time);
        let run = &mut instance.store.data_mut().run;
        run.input = Bytes::copy_from_slice(code);
        run.interrupt = Some(interrupt.clone());
        let failed = |e: wasmtime::Error, instance: &mut Instance| {
            let sp = instance.stack_pointer();
            failure::trapped(&e, instance.store.data().run.stop, sp)
        };
        let loaded = instance
            .store
            .set_fuel(fuel)
            .and_then(|()| instance.load.call(&mut instance.store, (size, memory_max)));
        logs.append(&mut instance.store.data_mut().run.logs.finish());
        match loaded {
            Err(e) => return Err(failed(e, &mut instance)),
            Ok(0) => {}
            Ok(_) => {
                let said = instance.store.data_mut().run.outcome.take();
                return Err(said
                    .and_then(Result::err)
                    .unwrap_or_else(|| internal("loading failed")));
            }
        }
        let end = instance.heap_end.call(&mut instance.store, ());
        let end = end.map_err(|e| failed(e, &mut instance))? as usize;
        if instance.stack_pointer() != Some(self.0.base.stack_pointer.cast_signed()) {
            return Err(internal("the engine's stack is not where it was"));
        }
        let memory = instance.memory.data(&instance.store);
        let used = memory.get(..end).unwrap_or(memory);
        Delta::encode(self.0.identity, &self.0.base, used, memory_bytes)
            .ok_or_else(|| internal("image too large"))
    }
}

impl Version {
    /// Memory that holding it takes, without its live instances.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.delta.runs.iter().map(|(_, run)| run.len()).sum()
    }
}

fn retire(hot: Option<Arc<Hot>>) {
    if let Some(hot) = hot {
        hot.retired.store(true, Ordering::Release);
        hot.idle.lock().clear();
    }
}

/// A live instance's place while it runs.
pub(super) struct LiveSeat {
    engine: Arc<Inner>,
    hot: Arc<Hot>,
    _counted: Counted,
}

impl LiveSeat {
    /// What is to be done once the answer was sent.
    pub(super) fn cleanup(self, instance: Instance) -> Box<dyn Cleanup> {
        Box::new(Used { instance, seat: self })
    }
}

/// A live instance after a call.
struct Used {
    instance: Instance,
    seat: LiveSeat,
}

impl Cleanup for Used {
    fn recycle(self: Box<Self>) {
        let Self { mut instance, seat } = *self;
        let LiveSeat {
            engine,
            hot,
            _counted,
        } = seat;
        if let Err(error) = reset(&engine, &hot, &mut instance) {
            // thrown away: an instance that may still hold another call's memory never runs again
            tracing::error!(error = format!("{error:#}"), "a live instance could not be reset");
            return;
        }
        let mut idle = hot.idle.lock();
        if !hot.retired.load(Ordering::Acquire) && idle.len() < engine.live_idle_max {
            idle.push(LiveInstance { instance, _counted });
        }
    }
    #[cfg(test)]
    fn wrong_pages(&self) -> usize {
        test_access::wrong_pages(
            self.instance.memory.data(&self.instance.store),
            &self.seat.hot.image,
        )
    }
}

fn reset(engine: &Inner, hot: &Hot, instance: &mut Instance) -> Result<(), LoadError> {
    let pagemap = engine.pagemap.as_ref().ok_or(LoadError::NoPagemap)?;
    let memory = instance.memory.data_mut(&mut instance.store);
    RESETTER.with_borrow_mut(|r| r.reset(pagemap.as_fd(), memory, &hot.image))?;
    // wrong after every trap
    instance.set_stack_pointer(engine.base.stack_pointer)?;
    instance.store.data_mut().run = Run::new(None, Bytes::new(), UnixMillis(0), 0, None);
    Ok(())
}

/// A call that never ran.
fn refused(failure: Failure, charged: u64) -> Step {
    let core = CompletedCore {
        outcome: Err(failure),
        logs: Vec::new(),
        units: UnitsBill {
            total: charged,
            base: charged,
            schedule: SCHEDULE_V1.version,
            ..UnitsBill::default()
        },
        fuel: 0,
        memory_bytes: 0,
        layout: Layout::D3,
    };
    Step::Done(Finished::new(core, None))
}

/// What the isolation tests need to see: memory from the host's side.
#[cfg(test)]
pub(super) mod test_access {
    use super::*;

    /// Lets `write` have a live instance's memory, as if a call had run.
    pub fn scribble(engine: &Engine, version: &Version, write: impl FnOnce(&mut [u8])) -> Finished {
        let hot = version.0.hot.lock().clone().unwrap();
        let LiveInstance {
            mut instance,
            _counted,
        } = engine.live_instance(&hot).unwrap();
        write(instance.memory.data_mut(&mut instance.store));
        instance.set_stack_pointer(12_345).unwrap();
        let seat = LiveSeat {
            engine: engine.0.clone(),
            hot,
            _counted,
        };
        let Step::Done(Finished { completed, .. }) = refused(failure::time_out(), 0) else {
            unreachable!()
        };
        Finished::new(completed, Some(seat.cleanup(instance)))
    }
    /// Pages of the first idle instance that differ from the image.
    pub fn wrong_pages_of_idle(version: &Version, engine: &Engine) -> Option<usize> {
        let hot = version.0.hot.lock().clone()?;
        let mut idle = hot.idle.lock();
        let live = idle.first_mut()?;
        assert_eq!(
            live.instance.stack_pointer(),
            Some(engine.0.base.stack_pointer.cast_signed())
        );
        Some(wrong_pages(
            live.instance.memory.data(&live.instance.store),
            &hot.image,
        ))
    }
    /// Pages that differ from the image; beyond its end there are zeros.
    pub fn wrong_pages(memory: &[u8], image: &Image) -> usize {
        let zeros = vec![0u8; STRIDE];
        let (inside, beyond) = memory.split_at(image.bytes().len());
        let inside = inside.chunks(STRIDE).zip(image.bytes().chunks(STRIDE));
        let beyond = beyond.chunks(STRIDE).map(|m| (m, zeros.split_at(m.len()).0));
        inside
            .chain(beyond)
            .filter(|(m, i)| m != i)
            .map(|(m, i)| pages(m, i))
            .sum()
    }
    const STRIDE: usize = 1 << 20;
    fn pages(memory: &[u8], image: &[u8]) -> usize {
        memory
            .chunks(4096)
            .zip(image.chunks(4096))
            .filter(|(m, i)| m != i)
            .count()
    }
}
