//! Project keys: made when first needed, replaced without touching values, destroyed with the project.

use super::seal::{kek_context, random_id, wrapped};
use super::{KEKS_MAX, Kek, Open, TRIES, Vault, busy, damaged, store, wrap};
use crate::envelope::{Envelope, Subject};
use crate::key::Key;
use crate::model::KekRecord;
use crate::port::WrapError;
use bytes::Bytes;
use neofn_types::{Code, Error, ProjectName};

/// Values that one step of rewrapping takes.
const STEP: u32 = 256;

impl Vault {
    /// The newest key of a project; made when there is none.
    pub(super) async fn kek(&self, open: &Open, project: &ProjectName) -> Result<Kek, Error> {
        for _ in 0..TRIES {
            let records = self.store.keks(project).await.map_err(store)?;
            if let Some(record) = records.last() {
                return self.unwrapped(open, record).await;
            }
            self.add_kek(open, project, random_id(self.entropy.as_ref()), 1)
                .await?;
        }
        Err(busy())
    }
    /// A certain key of a project.
    pub(super) async fn kek_version(
        &self,
        open: &Open,
        project: &ProjectName,
        version: u32,
    ) -> Result<Kek, Error> {
        if let Some(kek) = open.keks.read().get(&(project.clone(), version)) {
            return Ok(kek.clone());
        }
        let records = self.store.keks(project).await.map_err(store)?;
        match records.iter().find(|r| r.version == version) {
            Some(record) => self.unwrapped(open, record).await,
            None => Err(Error::new(
                Code::SecretDamaged,
                format!("the key of project {project} that a value is under is gone"),
            )),
        }
    }
    async fn unwrapped(&self, open: &Open, record: &KekRecord) -> Result<Kek, Error> {
        let place = (record.project.clone(), record.version);
        if let Some(kek) = open.keks.read().get(&place)
            && kek.id == record.id
        {
            return Ok(kek.clone());
        }
        let context = kek_context(&record.project, &record.id, record.version);
        let key = match open.root.unwrap(&record.wrapped, &context).await {
            Ok(key) => key,
            Err(WrapError::Wrong) if self.root_moved(open).await? => {
                // another node moved it to the service that this one has, too
                if let Ok(service) = self.service() {
                    self.unseal(&service).await?;
                }
                return Err(
                    Error::new(Code::SecretsSealed, "the root key is just being replaced")
                        .hint("Try again at once."),
                );
            }
            Err(error) => return Err(wrap(error)),
        };
        let kek = Kek {
            id: record.id,
            version: record.version,
            key,
        };
        let mut keks = open.keks.write();
        if keks.len() >= KEKS_MAX {
            keks.clear();
        }
        keks.insert(place, kek.clone());
        Ok(kek)
    }
    /// Whether the stored root is another than the one at hand.
    async fn root_moved(&self, open: &Open) -> Result<bool, Error> {
        let stored = self.store.root().await.map_err(store)?;
        Ok(stored.is_none_or(|r| r.generation != open.generation))
    }
    /// False when another was first; then theirs is the one.
    async fn add_kek(
        &self,
        open: &Open,
        project: &ProjectName,
        id: [u8; 16],
        version: u32,
    ) -> Result<bool, Error> {
        let key = Key::generate(self.entropy.as_ref());
        let context = kek_context(project, &id, version);
        let record = KekRecord {
            project: project.clone(),
            id,
            version,
            wrapped: wrapped(open.root.as_ref(), &key, &context).await?,
            created_at: self.clock.now(),
        };
        self.store.add_kek(record, open.generation).await.map_err(store)
    }

    /// Gives a project a new key and puts every value under it; then what was under the old ones and is not stored
    /// any more opens for nobody. Answers how many values moved. May be stopped at any point and called again.
    pub async fn rotate_project_key(&self, project: &ProjectName) -> Result<u32, Error> {
        let open = self.opened()?;
        let old = self.kek(&open, project).await?;
        self.add_kek(&open, project, old.id, old.version.saturating_add(1))
            .await?;
        self.rewrap(project).await
    }
    /// Puts every value of a project under its newest key, and forgets the keys that nothing is under.
    pub async fn rewrap(&self, project: &ProjectName) -> Result<u32, Error> {
        let open = self.opened()?;
        let newest = self.kek(&open, project).await?;
        let mut moved = 0u32;
        let mut lost = 0;
        while lost < TRIES {
            let values = self
                .store
                .values_under(project, newest.version, STEP)
                .await
                .map_err(store)?;
            if values.is_empty() {
                break;
            }
            let before = moved;
            for value in values {
                let subject = Subject {
                    project,
                    secret: value.secret,
                    version: value.version,
                };
                let envelope = Envelope::parse(&value.envelope)
                    .map_err(|e| damaged(project, &format!("version {}", value.version), e))?;
                let old = self.kek_version(&open, project, envelope.kek().1).await?;
                let next = envelope
                    .rewrap(
                        self.entropy.as_ref(),
                        subject,
                        &old.key,
                        (newest.id, newest.version, &newest.key),
                    )
                    .map_err(|e| damaged(project, &format!("version {}", value.version), e))?;
                let next = Bytes::copy_from_slice(next.as_bytes());
                if self
                    .store
                    .rewrap(project, value, next, newest.version)
                    .await
                    .map_err(store)?
                {
                    moved = moved.saturating_add(1);
                }
            }
            lost += usize::from(moved == before);
        }
        self.store
            .drop_keks(project, newest.version)
            .await
            .map_err(store)?;
        open.keks
            .write()
            .retain(|(of, version), _| of != project || *version >= newest.version);
        Ok(moved)
    }
    /// Destroys every secret of a project, and its key: what backups still hold of them opens for nobody, as long as
    /// the backup does not hold the key. Answers how many secrets. Works on a sealed vault too.
    pub async fn destroy_project(&self, project: &ProjectName) -> Result<u32, Error> {
        let count = self.store.remove_project(project).await.map_err(store)?;
        if let Some(open) = &*self.open.read() {
            open.keks.write().retain(|(of, _), _| of != project);
        }
        Ok(count)
    }
}
