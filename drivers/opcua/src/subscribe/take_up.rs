//! Setting up a session: subscriptions taken up again or made, nodes monitored, and asked for again.

use super::notify::Republished;
use super::{Fault, Subscriber, failed};
use crate::calls::{Call, What};
use crate::items;
use crate::limits::REMEMBERED_MAX;
use crate::server::{self, Facts};
use crate::tags::Samples;
use opcua::client::services::TransferSubscriptions;
use opcua::client::{Session, UARequest};
use opcua::types::{DataValue, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Subscriber<'_> {
    /// Makes the session what it was before, or new.
    pub(super) async fn set_up(&mut self, session: &Arc<Session>, same_session: bool) -> Result<(), Fault> {
        self.facts = Facts::ask(session, &self.prepared.options.log)
            .await
            .map_err(failed("reading namespaces and limits"))?;
        self.types.forget();
        self.warn_of_indexes();
        self.come_home(session).await;
        self.know_nodes();
        if !self.subscriptions.is_empty() {
            self.take_up(session, same_session).await?;
        }
        self.renumber(session).await?;
        self.place_lost(session).await?;
        self.presence.is(true).await;
        let now = Instant::now();
        self.subscriptions.iter_mut().for_each(|found| found.heard = now);
        let is_broken = (0..self.prepared.tags.len()).any(|tag| self.tags.is_broken(tag));
        self.refresh = is_broken.then(|| now + self.prepared.options.publishing * 2 + Duration::from_secs(1));
        if !is_broken {
            self.subscriptions.iter_mut().for_each(|found| found.is_catching_up = false);
        }
        Ok(())
    }

    /// Subscriptions of the session before, with all that was not acknowledged.
    async fn take_up(&mut self, session: &Arc<Session>, same_session: bool) -> Result<(), Fault> {
        let ids: Vec<u32> = self.subscriptions.iter().map(|found| found.id).collect();
        self.subscriptions.iter_mut().for_each(|found| found.is_catching_up = true);
        let mut gone = Vec::new();
        if same_session {
            for id in ids {
                if !self.republish_on(session, id).await? {
                    gone.push(id);
                }
            }
        } else {
            self.subscriptions.iter_mut().for_each(|found| found.is_unproved = true);
            for (id, available) in ids.iter().zip(self.transfer(session, &ids).await?) {
                let wanted = self.subscriptions.iter_mut().find(|found| found.id == *id);
                match available.zip(wanted) {
                    Some((available, found)) => {
                        for number in found.sequence.resumed(&available) {
                            self.republish(session, *id, number).await?;
                            self.make_room().await;
                        }
                        self.fill(session, *id).await?;
                    }
                    None => gone.push(*id),
                }
            }
        }
        let kept = self.subscriptions.len() - gone.len();
        let (source, gone_count) = (&self.prepared.name, gone.len());
        if gone.is_empty() {
            tracing::info!(%source, kept, gone = gone_count, "subscriptions of before are taken up");
        } else {
            tracing::warn!(%source, kept, gone = gone_count, "the server has lost subscriptions: what it kept of them is gone unless it has history");
        }
        self.forget(|id| gone.contains(&id));
        Ok(())
    }

    /// Asks for notifications from the next one on, until the server has no more; false if the subscription is gone.
    async fn republish_on(&mut self, session: &Arc<Session>, id: u32) -> Result<bool, Fault> {
        self.fill(session, id).await?;
        for _ in 0..REMEMBERED_MAX {
            let Some(found) = self.subscriptions.iter().find(|found| found.id == id) else {
                return Ok(false);
            };
            let next = found.sequence.next();
            match self.republish(session, id, next).await? {
                Republished::Came => {}
                Republished::Unavailable => return Ok(true),
                Republished::NoSubscription => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Moves subscriptions into this session: what the server keeps of each, or `None` if it is gone.
    pub(super) async fn transfer(
        &mut self,
        session: &Arc<Session>,
        ids: &[u32],
    ) -> Result<Vec<Option<Vec<u32>>>, Fault> {
        let request =
            TransferSubscriptions::new(session).subscription_ids(ids.to_vec()).send_initial_values(false);
        let call =
            Call::begin(&self.prepared.options.log, What("TransferSubscriptions, subscriptions", ids.len()));
        let results = match call.answer(request.send(session.channel()).await) {
            Ok(answer) => answer.results.unwrap_or_default(),
            Err(error) if is_of_connection(error.status()) => {
                return Err(failed("taking up subscriptions")(error));
            }
            // The server cannot do that, or does not let us.
            Err(error) => {
                tracing::info!(source = %self.prepared.name, status = %error.status(), "the server does not hand over subscriptions");
                Vec::new()
            }
        };
        let mut kept: Vec<Option<Vec<u32>>> = results
            .into_iter()
            .map(|result| {
                (!result.status_code.is_bad()).then(|| result.available_sequence_numbers.unwrap_or_default())
            })
            .collect();
        kept.resize(ids.len(), None);
        Ok(kept)
    }

    /// Subscriptions that the server has lost.
    pub(super) fn forget(&mut self, is_gone: impl Fn(u32) -> bool) {
        self.subscriptions.retain(|found| !is_gone(found.id));
        self.queue.only(|id| !is_gone(id));
        self.has_moved = true;
        for item in &mut self.items {
            if item.at.is_some_and(|(subscription, _)| is_gone(subscription)) {
                item.at = None;
            }
        }
    }

    /// The server may have numbered its namespaces anew: items that are now other nodes are given up.
    async fn renumber(&mut self, session: &Arc<Session>) -> Result<(), Fault> {
        let nodes = self.prepared.nodes.iter().zip(&self.items).enumerate();
        let moved: Vec<usize> = nodes
            .filter(|(_, (name, item))| item.at.is_some() && self.facts.resolve(name) != item.node)
            .map(|(index, _)| index)
            .collect();
        if moved.is_empty() {
            return Ok(());
        }
        tracing::info!(source = %self.prepared.name, nodes = moved.len(), "the server has numbered its namespaces anew");
        items::remove(session, &self.prepared.options.log, &mut self.items, &moved)
            .await
            .map_err(failed("giving up monitored items"))
    }

    /// Monitors all nodes that are not, and reads what happened while they were not.
    pub(super) async fn place_lost(&mut self, session: &Arc<Session>) -> Result<(), Fault> {
        self.note_lost();
        self.place_all(session).await?;
        self.set_bookmark().await;
        self.fill_from_history(session).await
    }

    /// What has come goes to the log before more is asked for.
    async fn make_room(&mut self) {
        if !self.queue.has_room() {
            self.queue.all_handed().await;
        }
    }

    /// Monitors all nodes that are not.
    async fn place_all(&mut self, session: &Arc<Session>) -> Result<(), Fault> {
        let wanted = self.items.iter().enumerate().filter(|(_, item)| item.at.is_none());
        let wanted = wanted.map(|(index, _)| index).collect();
        self.place(session, wanted).await
    }

    /// Asks again for nodes that were unknown or refused, once it is time.
    pub(super) async fn place_due(&mut self, session: &Arc<Session>, now: Instant) -> Result<(), Fault> {
        let due = |item: &items::Item| item.retry.is_some_and(|at| at <= now);
        let wanted: Vec<usize> =
            (0..).zip(&self.items).filter(|(_, item)| due(item)).map(|(index, _)| index).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        // A namespace may have come, too.
        if wanted.iter().any(|index| self.items.get(*index).is_some_and(|item| item.node.is_none())) {
            self.facts = Facts::ask(session, &self.prepared.options.log)
                .await
                .map_err(failed("reading namespaces and limits"))?;
        }
        items::remove(session, &self.prepared.options.log, &mut self.items, &wanted)
            .await
            .map_err(failed("giving up monitored items"))?;
        self.place(session, wanted).await
    }

    async fn place(&mut self, session: &Arc<Session>, wanted: Vec<usize>) -> Result<(), Fault> {
        self.has_moved |= !wanted.is_empty();
        let placed = items::place(
            session,
            &self.facts,
            self.prepared,
            &mut self.items,
            &mut self.subscriptions,
            wanted,
        );
        let refused = placed.await.map_err(failed("monitoring nodes"))?;
        let mut samples = Samples::default();
        for (index, status) in refused {
            let is_new = self.items.get(index).is_some_and(|item| item.retry.is_none());
            if let Some(node) = self.prepared.nodes.get(index).filter(|_| is_new) {
                tracing::warn!(source = %self.prepared.name, %node, %status, "the server does not monitor a node");
            }
            self.take_bad(index, status, &mut samples);
            if let Some(item) = self.items.get_mut(index) {
                item.retry = Some(Instant::now() + self.prepared.options.retry);
            }
        }
        if !samples.is_empty() {
            self.queue.push_read(samples);
        }
        Ok(())
    }

    /// After a break the server reports what has changed. What has not is read, to be good again.
    pub(super) async fn read_broken(&mut self, session: &Arc<Session>) -> Result<(), Fault> {
        let is_broken = |node: usize| {
            self.prepared.tags_of.get(node).into_iter().flatten().any(|tag| self.tags.is_broken(*tag))
        };
        let nodes =
            self.items.iter().enumerate().filter(|(index, item)| item.at.is_some() && is_broken(*index));
        let (indexes, ids): (Vec<usize>, Vec<_>) =
            nodes.filter_map(|(index, item)| Some((index, server::value_of(item.node.clone()?)))).unzip();
        let read = server::read(session, &self.prepared.options.log, &ids, self.facts.nodes_per_read);
        let values: Vec<DataValue> = read.await.map_err(failed("reading nodes"))?;
        let mut samples = Samples::default();
        for (index, data) in indexes.into_iter().zip(values) {
            for tag in self.prepared.tags_of.get(index).into_iter().flatten() {
                self.tags.history_is_over(*tag);
            }
            self.take(index, &data, &mut samples);
        }
        if !samples.is_empty() {
            self.queue.push_read(samples);
        }
        Ok(())
    }

    /// Once: which addresses depend on the order of the server's namespaces, and how to write them.
    fn warn_of_indexes(&mut self) {
        if std::mem::replace(&mut self.warned, true) {
            return;
        }
        server::warn_of_indexes(&self.prepared.name, &self.prepared.nodes, &self.facts);
    }
}

pub(super) const fn is_of_connection(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadConnectionClosed
            | StatusCode::BadNotConnected
            | StatusCode::BadTimeout
            | StatusCode::BadSecureChannelClosed
            | StatusCode::BadSessionIdInvalid
            | StatusCode::BadSessionClosed
    )
}
