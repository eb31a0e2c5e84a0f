//! The engine on the real store, with a sandbox and a compiler that do what a test tells them.

#[cfg(test)]
mod chain;
#[cfg(test)]
mod chain_fakes;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod fake_chain;
#[cfg(test)]
mod fakes;
#[cfg(test)]
mod invoke;
#[cfg(test)]
mod money;
#[cfg(test)]
mod neo;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod stores;
#[cfg(test)]
mod triggers;
